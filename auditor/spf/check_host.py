"""`check_host()` of RFC 7208 §4, as steps: questions out, answers in, a fact at the end.

Its start (which domain, is there a policy at all) is here and loads nothing else, since most
HELO names have no policy. Plain policies are evaluated by `evaluator`, all others by pyspf
(`pyspf_evaluator`, loaded only then).
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, Literal

from auditor.errors import WireError
from auditor.resolve.answer import Question
from auditor.spf.records import policies, printable
from auditor.spf.result import SpfFact, fact_of
from auditor.wire.codes import SETTLED, TXT
from auditor.wire.names import is_multi_label, normalise

if TYPE_CHECKING:
    from auditor.resolve.answer import Answer, Steps
    from auditor.spf.result import Outcome

__all__ = ["check_host", "helo_policy", "policy_domain", "policy_or_fact", "sender_of"]

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
    """Return what the policy of an identity says about an address.

    `address` is canonical text; an IPv4-mapped one counts as IPv4 (RFC 7208 §5). `sender` is
    for the `mailfrom` identity: local-part and domain, "" for the null reverse-path, which
    means `postmaster@helo`; for `helo` it is ignored. `helo` may be anything that a client
    may say.

    What the same answers give is the same to the octet: `%{t}` is 0 and `%{r}` is `unknown`.
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
    outcome = yield from _evaluate(address, identified, helo, published, {question: answer})
    return fact_of(identity, domain, outcome, printable(published))


def helo_policy(name: str, answer: Answer) -> SpfFact | bytes | None:
    """Return the policy of a HELO name (canonical) from the answer to its TXT question.

    Or the fact if there is none to be evaluated; None where that is for `check_host` to say.
    """
    return policy_or_fact("helo", name, answer) if is_multi_label(name) else None


def policy_domain(identity: Literal["helo", "mailfrom"], text: str) -> SpfFact | str:
    """Return the canonical domain whose policy counts for an identity (RFC 7208 §4.3).

    Or the fact, with the result none, for a single label, an address, literal or bare, and
    whatever would need escapes.
    """
    try:
        domain = normalise(text)
    except WireError:
        domain = ""
    if is_multi_label(domain):
        return domain
    shown = printable(text.lower().removesuffix(".").encode("utf-8", "backslashreplace"))
    return SpfFact(identity, shown, "none", None, 0, 0, None, None)


def policy_or_fact(
    identity: Literal["helo", "mailfrom"], domain: str, answer: Answer
) -> SpfFact | bytes:
    """Return the policy from the answer to the TXT question of a domain, in ASCII.

    Or the fact if there is no one policy to evaluate.
    """
    if answer.status not in SETTLED:  # RFC 7208 §4.4
        trouble = f"TXT of {domain}: {answer.status}"
        return SpfFact(identity, domain, "temperror", None, 0, 0, None, trouble)
    texts = policies(answer.records)
    if not texts:
        return SpfFact(identity, domain, "none", None, 0, 0, None, None)
    if len(texts) > 1:  # RFC 7208 §4.5
        trouble = f"{len(texts)} SPF records at {domain}, expected one"
        return SpfFact(identity, domain, "permerror", None, 0, 0, None, trouble)
    if not texts[0].isascii():  # RFC 7208 §3.1
        trouble = f"octets outside ASCII in the SPF record of {domain}"
        record = printable(texts[0])
        return SpfFact(identity, domain, "permerror", None, 0, 0, record, trouble)
    return texts[0]


def _evaluate(
    address: str, sender: str, helo: str, policy: bytes, answers: dict[Question, Answer]
) -> Steps[Outcome]:
    """Evaluate a policy over the answers there are, until none is lacking.

    Every round brings at least one answer that was lacking, and what an evaluation can
    ask for is bounded (RFC 7208 §4.6.4), so this ends.
    """
    from auditor.spf.evaluator import (  # noqa: PLC0415 - for those with policies
        client_of,
        evaluate_directly,
        lacking_questions,
    )

    client = client_of(address)
    domain = sender.rpartition("@")[2]
    while (outcome := evaluate_directly(client, policy, domain, answers)) is not None:
        if not isinstance(outcome, list):
            return outcome
        answers.update(zip(outcome, (yield outcome), strict=True))
    from auditor.spf.pyspf_evaluator import evaluate  # noqa: PLC0415 - loads pyspf and dnspython

    parsed_client, text = ip_address(client[0]), policy.decode("ascii")
    while True:
        lacking = lacking_questions(client, policy, domain, answers)
        if not lacking:
            outcome = evaluate(parsed_client, sender, helo, text, answers)
            if not isinstance(outcome, list):
                return outcome
            lacking = outcome
        answers.update(zip(lacking, (yield lacking), strict=True))
