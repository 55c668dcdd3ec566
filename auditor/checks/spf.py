"""The SPF stage: which identities are checked for an address, and by what.

An ISP asks the same policy about a million neighbours. So a policy that comes up again and
again is evaluated once for all addresses (`spf.ranges`), and only what that leaves open goes
through `check_host` one by one. The facts are the same either way.
"""

from __future__ import annotations

from socket import AF_INET6, inet_aton, inet_pton
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from auditor.checks.steps import together
from auditor.spf.evaluate import check_host, sender_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import IprevFact, SpfFact, Steps
    from auditor.spf.ranges import RangeTable

__all__ = ["Identity", "Policies", "given_identities", "identities_of", "number_of"]

#: The HELO name for a policy's macros where neither the input nor a PTR name gives one.
_NO_HELO: Final = "unknown"

#: Evaluations of one policy after which its ranges are worth having, and ranges kept.
_ENOUGH: Final = 8
_MOST: Final = 1024

_V4: Final = 4


class Identity(NamedTuple):
    """One identity to check: `sender` is "" for HELO, `helo` the HELO name in any case."""

    kind: Literal["helo", "mailfrom"]
    sender: str
    helo: str


def given_identities(helo: str | None, mail_from: Sequence[str]) -> list[Identity]:
    """Return the identities that were asked for, HELO first, then senders in order.

    Without a HELO name that of the senders is left open (""): the address's own name.
    """
    return [
        *([Identity("helo", "", helo)] if helo else []),
        *(Identity("mailfrom", sender_of(one), helo or "") for one in sorted(set(mail_from))),
    ]


def identities_of(given: Sequence[Identity], iprev: IprevFact) -> list[Identity]:
    """Return the identities of an address: those given, else each confirmed PTR name."""
    confirmed = [name.name for name in iprev.names if name.confirms]
    if not given:
        return [Identity("helo", "", name) for name in confirmed]
    spoken = confirmed[0] if confirmed else _NO_HELO
    return [one if one.helo else one._replace(helo=spoken) for one in given]


class Policies:
    """Checks identities, remembering what policies say of whole ranges for a run."""

    def __init__(self) -> None:
        self._tables: dict[tuple[str, str, int], RangeTable | None] = {}
        self._times: dict[tuple[str, str, int], int] = {}

    def check(
        self, address: str, version: int, identities: Sequence[Identity]
    ) -> Steps[list[SpfFact]]:
        """Return the facts of an address, one for each identity."""
        return (
            yield from together(
                [self._check(address, version, identity) for identity in identities]
            )
        )

    def prepare(self, identities: Sequence[Identity]) -> Steps[None]:
        """Evaluate policies ahead that every address of the run will be held against."""
        yield from together(
            [self._learn(identity, version) for identity in identities for version in (4, 6)]
        )

    def known(self, address: str, version: int, identity: Identity) -> SpfFact | None:
        """Return the fact if ranges give it, else None."""
        table = self.table(identity, version)
        return table.fact(number_of(address, version), identity.kind) if table else None

    def table(self, identity: Identity, version: int) -> RangeTable | None:
        """Return what the policy of an identity says of all addresses, if that is known."""
        return self._tables.get(_key(identity, version))

    def has(self, identity: Identity) -> bool:
        """Tell whether the ranges of an identity's policy are known, for both IP versions."""
        return all(self.table(identity, version) for version in (4, 6))

    def _check(self, address: str, version: int, identity: Identity) -> Steps[SpfFact]:
        fact = self.known(address, version, identity)
        if fact is not None:
            return fact
        key = _key(identity, version)
        if key not in self._tables:
            times = self._times[key] = self._times.get(key, 0) + 1
            if times >= _ENOUGH:
                yield from self._learn(identity, version)
                fact = self.known(address, version, identity)
                if fact is not None:
                    return fact
            elif len(self._times) > _MOST:
                self._times.clear()
        return (yield from check_host(address, identity.kind, identity.sender, identity.helo))

    def _learn(self, identity: Identity, version: int) -> Steps[None]:
        from auditor.spf.ranges import range_table  # noqa: PLC0415 - loads pyspf

        key = _key(identity, version)
        if len(self._tables) >= _MOST:
            self._tables.clear()
        # From now on nobody else begins; they go one by one until this is done.
        self._tables[key] = None
        kind, sender, helo = identity
        if kind == "mailfrom":
            domain = sender.rpartition("@")[2]
            table = yield from range_table(domain, version, sender=sender)
        else:
            table = yield from range_table(helo, version, sender=sender_of(helo), helo=helo)
        if table.settled:
            self._tables[key] = table
        else:
            # A lookup failed on the way: not a thing to remember, the next ones try again.
            self._tables.pop(key, None)
            self._times[key] = 0


def number_of(address: str, version: int) -> int:
    """Return an address (canonical text, `version` 4 or 6) as a number."""
    if version == _V4:
        return int.from_bytes(inet_aton(address))
    return int.from_bytes(inet_pton(AF_INET6, address))


def _key(identity: Identity, version: int) -> tuple[str, str, int]:
    return identity.kind, identity.sender or identity.helo, version
