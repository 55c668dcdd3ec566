"""Own SPF policies that can be corrected without a decision by a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.findings.catalogue import entry
from auditor.resolve.answer import Question, make_answer
from auditor.resolve.steps import answer_steps_at_once
from auditor.spf.records import policies
from auditor.wire.codes import NOERROR, TXT
from auditor.wire.master_file import MAX_STRING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from auditor.fix.changes import Change
    from auditor.resolve.answer import Answer

__all__ = ["Rewritten", "replace_policy", "result_refusing", "rewrite"]

#: Problems whose correction keeps the hosts that the policy was meant to authorise.
_CERTAIN: Final = frozenset(
    {
        "SPF_DUPLICATE_TERM",
        "SPF_EXP_WITHOUT_TEXT",
        "SPF_MULTIPLE_RECORDS",
        "SPF_NOT_ASCII",
        "SPF_REDIRECT_IGNORED",
        "SPF_STRINGS_JOINED",
        "SPF_SYNTAX",
        "SPF_TERM_AFTER_ALL",
        "SPF_TERM_COVERED",
        "SPF_UNKNOWN_MODIFIER",
    }
)
_PROBLEMS: Final = frozenset({"error", "warning"})
#: Problems whose correction changes the meaning of the policy.
_UNCERTAIN: Final = frozenset(
    {"SPF_NEUTRAL_ALL", "SPF_NO_ALL", "SPF_INCLUDE_LOOP", "SPF_TERM_RESOLVES_TO_NOTHING"}
)

#: Results for which receivers refuse mail or count it against the sender.
_REFUSING: Final = frozenset({"fail", "softfail", "permerror"})


class Rewritten(NamedTuple):
    """A corrected policy: its domain, its text, the findings that it fixes.

    `new_problems`: the codes of errors and warnings that the corrected policy has for the first
    time.
    """

    owner: str
    text: str
    why: tuple[str, ...]
    new_problems: set[str]

    @property
    def strings(self) -> tuple[bytes, ...]:
        """The TXT record."""
        text = self.text.encode("ascii")
        return tuple(text[at : at + MAX_STRING] for at in range(0, len(text), MAX_STRING))


def rewrite(
    domain: str, codes: Collection[str], answer: Callable[[Question], Answer]
) -> Rewritten | None:
    """Return the corrected policy of a domain; None if no correction is needed, or certain.

    `codes`: the codes of the findings about it.
    """
    why = tuple(sorted(_CERTAIN.intersection(codes)))
    if not why:
        return None
    from auditor.spf.lint.correction import correct, policy_owner  # noqa: PLC0415 - loads pyspf
    from auditor.spf.lint.policy import lint  # noqa: PLC0415 - the same

    report = answer_steps_at_once(lint(domain), answer)
    correction = correct(report, domain)
    problems = {problem.code for problem in report.problems if problem.domain == domain}
    if correction is None or not correction.text or not _UNCERTAIN.isdisjoint(problems):
        return None
    rewritten = Rewritten(policy_owner(report, domain), correction.text, why, set())
    published = make_answer(NOERROR, (rewritten.strings,))
    question = Question(domain, TXT)
    after = answer_steps_at_once(
        lint(domain), lambda asked: published if asked == question else answer(asked)
    )
    found_then = {problem.code for problem in after.problems if problem.domain == domain}
    new = {code for code in found_then - problems if entry(code).severity in _PROBLEMS}
    return rewritten._replace(new_problems=new)


def replace_policy(change: Change, rewritten: Rewritten, target: str) -> None:
    """Put a rewritten policy in the place of those that a TXT record set has."""
    for strings in change.before:
        if strings != rewritten.strings and policies([strings]):
            change.edit("delete", strings, rewritten.why, target)
    change.edit("add", rewritten.strings, rewritten.why, target)


def result_refusing(address: str, host: str, answer: Callable[[Question], Answer]) -> str:
    """Return the SPF result of a host's own name for an address, "" if mail is not refused."""
    from auditor.spf.check_host import check_host  # noqa: PLC0415 - loads pyspf

    result = answer_steps_at_once(check_host(address, "helo", "", host), answer).result
    return result if result in _REFUSING else ""
