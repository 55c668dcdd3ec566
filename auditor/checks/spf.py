"""SPF stage: which identities are checked for an address, by evaluator or by range table.

A scan evaluates the same policy for a million neighbours. So a policy that comes up again and
again is evaluated once for all addresses (`spf.ranges`), and only what that leaves open goes
through `check_host` one by one. The facts are the same either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from auditor.resolve.steps import together
from auditor.spf.check_host import check_host, sender_of
from auditor.wire.addresses import number_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import IprevFact
    from auditor.resolve.answer import Steps
    from auditor.spf.ranges import RangeTable
    from auditor.spf.result import SpfFact

__all__ = ["SpfChecker", "SpfIdentity", "given_identities", "identities_of"]

#: The HELO name for a policy's macros where neither the input nor a PTR name gives one.
_NO_HELO: Final = "unknown"

#: Evaluations of one policy after which a range table is built, and tables kept.
_MIN_EVALUATIONS_FOR_TABLE: Final = 8
_MAX_TABLES: Final = 1024


class SpfIdentity(NamedTuple):
    """One identity to check.

    `sender` is "" for HELO and for the null reverse-path; `helo` is the HELO name for either
    kind, None if the address's own name stands in for it.
    """

    kind: Literal["helo", "mailfrom"]
    sender: str
    helo: str | None


def given_identities(helo: str | None, mail_from: Sequence[str]) -> list[SpfIdentity]:
    """Return the given identities, HELO first, then senders in order.

    Without a HELO name, `helo` of the senders is None: the name of the address stands in.
    """
    return [
        *([] if helo is None else [SpfIdentity("helo", "", helo)]),
        *(SpfIdentity("mailfrom", sender_of(sender), helo) for sender in sorted(set(mail_from))),
    ]


def identities_of(given: Sequence[SpfIdentity], iprev: IprevFact) -> list[SpfIdentity]:
    """Return the identities of an address: those given, else each confirmed PTR name."""
    confirmed = [name.name for name in iprev.names if name.confirms]
    if not given:
        return [SpfIdentity("helo", "", name) for name in confirmed]
    assumed = confirmed[0] if confirmed else _NO_HELO
    return [
        identity._replace(helo=assumed) if identity.helo is None else identity for identity in given
    ]


class SpfChecker:
    """Checks identities, with range tables of frequent policies."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str, int], RangeTable | None] = {}
        self._times: dict[tuple[str, str, int], int] = {}

    def spf_facts(
        self, address: str, version: int, identities: Sequence[SpfIdentity]
    ) -> Steps[list[SpfFact]]:
        """Return the facts of an address, one for each identity."""
        return (
            yield from together(
                [self._check(address, version, identity) for identity in identities]
            )
        )

    def build_tables(self, identities: Sequence[SpfIdentity]) -> Steps[None]:
        """Build the range tables of policies that every address of the run is checked against."""
        fixed = [identity for identity in identities if not _is_open(identity)]
        yield from together(
            [self._build_table(identity, version) for identity in fixed for version in (4, 6)]
        )

    def known(self, address: str, version: int, identity: SpfIdentity) -> SpfFact | None:
        """Return the fact if ranges give it, else None."""
        table = self.table(identity, version)
        return table.fact(number_of(address), identity.kind) if table else None

    def table(self, identity: SpfIdentity, version: int) -> RangeTable | None:
        """Return the range table of the policy of an identity, if it is known."""
        return None if _is_open(identity) else self._tables.get(_key(identity, version))

    def has(self, identity: SpfIdentity) -> bool:
        """Tell whether the ranges of an identity's policy are known, for both IP versions."""
        return all(self.table(identity, version) for version in (4, 6))

    def _check(self, address: str, version: int, identity: SpfIdentity) -> Steps[SpfFact]:
        fact = self.known(address, version, identity)
        if fact is not None:
            return fact
        key = _key(identity, version)
        if key not in self._tables:
            times = self._times[key] = self._times.get(key, 0) + 1
            if times >= _MIN_EVALUATIONS_FOR_TABLE:
                yield from self._build_table(identity, version)
                fact = self.known(address, version, identity)
                if fact is not None:
                    return fact
            elif len(self._times) > _MAX_TABLES:
                self._times.clear()
        kind, sender, _ = identity
        return (yield from check_host(address, kind, sender, identity.helo or ""))

    def _build_table(self, identity: SpfIdentity, version: int) -> Steps[None]:
        from auditor.spf.ranges import range_table  # noqa: PLC0415 - loads pyspf

        key = _key(identity, version)
        if len(self._tables) >= _MAX_TABLES:
            self._tables.clear()
        # No other target starts this table now; they are evaluated one by one until it is done.
        self._tables[key] = None
        _, sender, _ = identity
        if sender:
            domain = sender.rpartition("@")[2]
            table = yield from range_table(domain, version, sender=sender)
        else:
            helo = identity.helo or ""
            table = yield from range_table(helo, version, sender=sender_of(helo), helo=helo)
        if table.settled:
            self._tables[key] = table
        else:
            # A lookup failed: the table is not kept, and is tried again later.
            self._tables.pop(key, None)
            self._times[key] = 0


def _is_open(identity: SpfIdentity) -> bool:
    """Tell whether the domain of an identity depends on the address: `<>` without a HELO name."""
    return not identity.sender and identity.helo is None


def _key(identity: SpfIdentity, version: int) -> tuple[str, str, int]:
    return identity.kind, identity.sender or identity.helo or "", version
