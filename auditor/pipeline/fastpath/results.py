"""Results of a step of the fast path: finished lines, their counts, targets that fall back."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from auditor.wire.addresses import V4, V6

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.pipeline.fastpath.columns import AddressGroup
    from auditor.pipeline.fastpath.verdicts import FindingWeigher, TallyKey
    from auditor.resolve.answer import Answer, Question
    from auditor.targets.target import Target

__all__ = ["Fallback", "StepResults"]


class Fallback(NamedTuple):
    """A target that falls back to `TargetAuditor.audit`: its place in the block, and its answers.

    `known`: the questions that it has asked one at a time, with their answers, in order.
    """

    place: int
    target: Target
    known: tuple[tuple[Question, Answer], ...]


class StepResults:
    """Lines with their places in the block, their counts for the tally, and fallbacks.

    `weigh`: the weigher of findings by IP version.
    """

    __slots__ = ("_weigh", "counts", "fallbacks", "lines")

    def __init__(self, weigh: Mapping[int, FindingWeigher]) -> None:
        self._weigh = weigh
        self.lines: list[tuple[int, bytes]] = []
        self.counts: dict[TallyKey, int] = {}
        self.fallbacks: list[Fallback] = []

    def clear(self) -> None:
        """Drop the results of the last step."""
        self.lines = []
        self.counts = {}
        self.fallbacks = []

    def count(
        self,
        codes: list[tuple[str, str]],
        group: AddressGroup,
        address: str,
        status: str,
        failed: str = "",
    ) -> tuple[str, str]:
        """Weigh the findings and count the record; return its verdict, and its findings as JSON.

        `status`: of the PTR lookup; `failed`: the status of a failed lookup of a name.
        """
        if not group.is_global:
            codes.append(("TARGET_NOT_GLOBAL", address))
        weigh = self._weigh[V6 if ":" in address else V4]
        verdict, severities, listed = weigh(codes)
        key = (verdict, severities, status, failed)
        self.counts[key] = self.counts.get(key, 0) + 1
        return verdict, listed
