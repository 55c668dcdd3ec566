"""Entry to the fast path: cuts a block of targets into parts with the same rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from auditor.pipeline.fastpath.block import BlockFastPath
from auditor.pipeline.fastpath.columns import address_columns, gives_helo, is_common
from auditor.pipeline.fastpath.given import LineFacts

if TYPE_CHECKING:
    from auditor.pipeline.fastpath.run_facts import RunFacts
    from auditor.targets.target import Block

__all__ = ["FastPath", "LineHelos"]

LineHelos: TypeAlias = Literal["none", "lookup", "spf"]


class FastPath:
    """Cuts blocks into parts that go through the same rounds of questions.

    `line_helos`: what is done with a HELO name that a line gives: nothing here, looked up, or
    checked for SPF as well.
    """

    def __init__(self, run: RunFacts, line_helos: LineHelos = "none") -> None:
        self._run_facts = run
        self._line_helos = line_helos

    def start_block(self, block: Block) -> list[BlockFastPath]:
        """Return the rounds of the parts of a block, with the first questions ready.

        One part has the targets with the settings' identities, one those with a HELO name of
        their own.
        """
        columns = address_columns(block, is_common)
        if len(columns.places) == len(block):
            return [BlockFastPath(self._run_facts, columns, self._run_facts.given)]
        places = {*columns.places}
        parts = []
        if self._line_helos != "none":
            named = address_columns(block, gives_helo)
            if named.places:
                facts = LineFacts(named.targets, spf=self._line_helos == "spf")
                parts.append(BlockFastPath(self._run_facts, named, facts))
                places |= {*named.places}
        others = [(place, target) for place, target in enumerate(block) if place not in places]
        if columns.places or others:
            parts.append(BlockFastPath(self._run_facts, columns, self._run_facts.given, others))
        return parts
