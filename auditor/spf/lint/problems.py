"""Problems that lint finds, and the list that bounds how many are noted."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.spf.records import printable
from auditor.wire.codes import BOGUS

if TYPE_CHECKING:
    from auditor.spf.parser import Term

__all__ = ["MAX_ALIKE", "Problem", "Problems", "shown", "unread"]

#: Problems of one kind that are noted of one record: 64 KiB have room for thousands.
MAX_ALIKE: Final = 10

_MAX_SHOWN_CHARACTERS: Final = 120  # of a term


class Problem(NamedTuple):
    """Something wrong with a policy: the code of a finding, and where and what it is.

    `domain` is the one whose policy it is in. `term` is the text at fault, printable and cut
    to a length for people, "" if the policy as a whole is meant; `start` and `end` are the
    offsets in octets of its first octet in the record and of the one after its last, None
    with it. `note` is a more precise text without a full stop, or "".
    """

    code: str
    domain: str
    term: str = ""
    start: int | None = None
    end: int | None = None
    note: str = ""


class Problems:
    """The problems of one policy, in the order noted, a limited number of each kind."""

    __slots__ = ("_counts", "domain", "found")

    def __init__(self, domain: str) -> None:
        self.domain = domain
        self.found: list[Problem] = []
        self._counts: Counter[str] = Counter()

    def note_problem(self, code: str, note: str = "", term: Term | None = None) -> None:
        """Note a problem of the policy, or of one of its terms."""
        if term is None:
            self.add_problem(Problem(code, self.domain, note=note))
        else:
            self.note_at(code, note, term.text, term.start, term.end)

    def note_at(self, code: str, note: str, text: str, start: int, end: int) -> None:
        """Note a problem of a stretch of the record; `text` has one character an octet."""
        self.add_problem(Problem(code, self.domain, shown(text), start, end, note))

    def full(self, code: str) -> bool:
        """Whether no more problems of this kind are noted."""
        return self._counts[code] >= MAX_ALIKE

    def add_problem(self, problem: Problem) -> None:
        """Note a problem, unless there are enough of its kind."""
        self._counts[problem.code] += 1
        if self._counts[problem.code] <= MAX_ALIKE:
            self.found.append(problem)


def shown(text: str) -> str:
    """Return text of one character an octet as printable ASCII, cut to a length for people."""
    cut = "..." if len(text) > _MAX_SHOWN_CHARACTERS else ""
    return printable(text[:_MAX_SHOWN_CHARACTERS].encode("latin-1", "replace")) + cut


def unread(status: str | None) -> str:
    """Return the code for a lookup that failed with `status`."""
    return "SPF_BOGUS" if status == BOGUS else "SPF_UNDETERMINED"
