"""Facts that the blocks of a run share on the fast path."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.pipeline.fastpath.verdicts import FindingWeigher, SharedOutcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.checks.address import OwnZones, Wildcards
    from auditor.findings.rules import RuleSet
    from auditor.pipeline.fastpath.given import GivenFacts

__all__ = ["RunFacts"]


class RunFacts:
    """Facts that the blocks of a run share on the fast path.

    `rulings`: the rules by IP version; `for_confirmed_only`: they do not cover addresses whose
    lookups failed or whose names do not point back; these fall back. `given`: the facts of the
    identities that the settings give, or the PTR names.
    """

    def __init__(
        self,
        rulings: Mapping[int, RuleSet],
        wildcards: Wildcards,
        given: GivenFacts,
        own: OwnZones,
        *,
        for_confirmed_only: bool = False,
    ) -> None:
        self.wildcards = wildcards
        self.for_confirmed_only = for_confirmed_only
        self.own = own
        #: By IP version.
        self.weigh = {version: FindingWeigher(rule_set) for version, rule_set in rulings.items()}
        self.given = given
        self._shared = {version: SharedOutcomes(version) for version in (0, 4, 6)}

    def shared_outcomes(self, addresses: Sequence[str]) -> SharedOutcomes:
        """Return the outcomes that clients with these addresses share."""
        joined = "".join(addresses)
        if ":" not in joined:
            return self._shared[4]
        # SPF treats an IPv4-mapped address as IPv4 (RFC 7208 §5).
        return self._shared[0 if "." in joined else 6]
