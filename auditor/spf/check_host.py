"""`check_host()` of RFC 7208 §4, as steps: questions out, answers in, a fact at the end.

The evaluator is loaded only for a domain with a policy, since most HELO names have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from auditor.resolve.answer import Question
from auditor.spf.records import policy_domain, policy_or_fact, printable
from auditor.spf.result import SpfFact, fact_of
from auditor.wire.codes import TXT
from auditor.wire.names import is_multi_label

if TYPE_CHECKING:
    from auditor.resolve.answer import Answer, Steps

__all__ = ["check_host", "helo_policy", "sender_of"]

_POSTMASTER: Final = "postmaster"
_NULL_SENDER: Final = "<>"


def sender_of(mail_from: str) -> str:
    """Return the sender that a domain or an address stands for (RFC 7208 §2.4, §4.3).

    A domain means its postmaster; the null reverse-path, `<>`, is "".
    """
    if mail_from == _NULL_SENDER:
        return ""
    local, _, domain = mail_from.rpartition("@")
    return mail_from if local or not domain else f"{_POSTMASTER}@{domain}"


def check_host(
    address: str, identity: Literal["helo", "mailfrom"], sender: str, helo: str
) -> Steps[SpfFact]:
    """Return the result of the policy of an identity for an address.

    `address` is canonical text; an IPv4-mapped one counts as IPv4 (RFC 7208 §5). `sender` is
    for the `mailfrom` identity: local-part and domain, "" for the null reverse-path, which
    means `postmaster@helo`; for `helo` it is ignored. `helo` may be any text.

    The same answers give the same fact to the octet: `%{t}` is 0 and `%{r}` is `unknown`.
    """
    local, _, from_domain = (
        sender.rpartition("@") if identity == "mailfrom" and sender else ("", "", helo)
    )
    domain = policy_domain(identity, from_domain)
    if isinstance(domain, SpfFact):
        return domain
    question = Question(domain, TXT)
    (answer,) = yield (question,)
    published = policy_or_fact(identity, domain, answer)
    if isinstance(published, SpfFact):
        return published
    identified = f"{local or _POSTMASTER}@{domain}"
    from auditor.spf.evaluator import evaluate_policy  # noqa: PLC0415 - for those with policies

    outcome = yield from evaluate_policy(address, identified, helo, published, {question: answer})
    return fact_of(identity, domain, outcome, printable(published))


def helo_policy(name: str, answer: Answer) -> SpfFact | bytes | None:
    """Return the policy of a HELO name (canonical) from the answer to its TXT question.

    Or the fact if there is no policy; None if only `check_host` can tell.
    """
    return policy_or_fact("helo", name, answer) if is_multi_label(name) else None
