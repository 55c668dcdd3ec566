"""Queue of unsent questions, filled and emptied in batches."""

from __future__ import annotations

from collections import deque
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import AnswerCallback, Question

__all__ = ["SendQueue"]


class SendQueue:
    """Questions in the order they came, each with its callback.

    They stay in the sequences that they were added in, so there is no work for each question.
    """

    __slots__ = ("_pieces", "_size", "_start")

    def __init__(self) -> None:
        self._pieces: deque[tuple[Sequence[Question], AnswerCallback]] = deque()
        #: How many of the first piece have been taken.
        self._start = 0
        self._size = 0

    def __len__(self) -> int:
        """Return how many questions are queued."""
        return self._size

    def enqueue(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Add questions at the end."""
        if questions:
            self._pieces.append((tuple(questions), deliver))
            self._size += len(questions)

    def dequeue(self, most: int) -> tuple[list[Question], list[AnswerCallback]]:
        """Take up to `most` of the first questions, each with its callback."""
        taken: list[Question] = []
        asking: list[AnswerCallback] = []
        pieces = self._pieces
        while pieces and len(taken) < most:
            questions, deliver = pieces[0]
            start, end = self._start, self._start + most - len(taken)
            part = questions[start:end]
            taken += part
            asking += [deliver] * len(part)
            self._start = end
            if end >= len(questions):
                pieces.popleft()
                self._start = 0
        self._size -= len(taken)
        return taken, asking

    def put_back(self, questions: Sequence[Question], asking: Sequence[AnswerCallback]) -> None:
        """Put questions back at the front, in their order."""
        if self._start:
            first, deliver = self._pieces[0]
            self._pieces[0] = (first[self._start :], deliver)
            self._start = 0
        self._pieces.extendleft(
            ((question,), deliver)
            for question, deliver in zip(reversed(questions), reversed(asking), strict=True)
        )
        self._size += len(questions)

    def rotate(self, count: int) -> None:
        """Move the first `count` questions to the end, in their order."""
        questions, asking = self.dequeue(count)
        start = 0
        for deliver, same in groupby(asking):
            end = start + len(list(same))
            self.enqueue(questions[start:end], deliver)
            start = end

    def clear(self) -> None:
        """Drop all questions."""
        self._pieces.clear()
        self._start = self._size = 0
