"""The fast path of a run: what its blocks share, and where each block starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from auditor.pipeline.fastpath.block import BlockFastPath
from auditor.pipeline.fastpath.columns import address_columns, gives_helo, is_common
from auditor.pipeline.fastpath.given import LineFacts
from auditor.pipeline.fastpath.verdicts import FindingWeigher, SharedOutcomes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.checks.address import Wildcards
    from auditor.checks.own_zones import OwnZones
    from auditor.findings.rules import RuleSet
    from auditor.pipeline.fastpath.given import GivenFacts
    from auditor.targets.target import Block

__all__ = ["FastPath", "LineHelos"]

LineHelos: TypeAlias = Literal["none", "lookup", "spf"]


class FastPath:
    """The fast path of a run: what its blocks share.

    `rulings`: by IP version; `for_confirmed_only`: they say nothing about addresses whose lookups
    failed or whose names do not point back. `given`: the facts of the identities that the settings
    give, or the PTR names. `line_helos`: what is done with a HELO name that a line gives: nothing
    here, looked up, or checked for SPF as well.
    """

    def __init__(
        self,
        rulings: Mapping[int, RuleSet],
        wildcards: Wildcards,
        given: GivenFacts,
        own: OwnZones,
        *,
        line_helos: LineHelos = "none",
        for_confirmed_only: bool = False,
    ) -> None:
        self.wildcards = wildcards
        self.for_confirmed_only = for_confirmed_only
        self.own = own
        self._line_helos = line_helos
        #: By IP version.
        self.weigh = {version: FindingWeigher(rule_set) for version, rule_set in rulings.items()}
        self.given = given
        self._shared = {version: SharedOutcomes(version) for version in (0, 4, 6)}

    def shared_outcomes(self, addresses: Sequence[str]) -> SharedOutcomes:
        """Return the outcomes that clients with these addresses share."""
        joined = "".join(addresses)
        if ":" not in joined:
            return self._shared[4]
        # SPF takes an IPv4-mapped address for an IPv4 one.
        return self._shared[0 if "." in joined else 6]

    def start_block(self, block: Block) -> list[BlockFastPath]:
        """Return the rounds of the parts of a block, with the first questions ready.

        A part each for what has the settings' identities and for what has a HELO name of its own.
        """
        columns = address_columns(block, is_common)
        if len(columns.places) == len(block):
            return [BlockFastPath(self, columns, self.given)]
        places = {*columns.places}
        parts = []
        if self._line_helos != "none":
            named = address_columns(block, gives_helo)
            if named.places:
                facts = LineFacts(named.targets, spf=self._line_helos == "spf")
                parts.append(BlockFastPath(self, named, facts))
                places |= {*named.places}
        others = [(place, target) for place, target in enumerate(block) if place not in places]
        if columns.places or others:
            parts.append(BlockFastPath(self, columns, self.given, others))
        return parts
