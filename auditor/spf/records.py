"""The SPF record of a domain: where to look, and which TXT record it is (RFC 7208 §4.3 to §4.5).

Nothing here interprets a policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

from auditor.errors import WireError
from auditor.resolve.answer import Question
from auditor.spf.limits import MAX_MX
from auditor.spf.result import SpfFact
from auditor.wire.codes import SETTLED, TXT
from auditor.wire.names import NULL_MX, is_multi_label, normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Answer, Rdata, Steps

__all__ = [
    "Answers",
    "PublishedPolicy",
    "mail_hosts",
    "only_policy",
    "policies",
    "policy_domain",
    "policy_or_fact",
    "printable",
    "published",
    "shown",
]

_VERSION: Final = b"v=spf1"
_SPACE: Final = b" "

#: Questions that one evaluation may ask; a genuine policy needs a hundredth.
_MAX_QUESTIONS: Final = 400

#: Explanations are cut here: a policy of 64 KiB can expand to megabytes.
_MAX_EXPLANATION_CHARACTERS: Final = 1024

# As in a master file (RFC 1035 §5.1), but for the quotes.
_SHOWN: Final = {
    octet: f"\\{octet:03d}"
    for octet in range(256)
    if not 0x20 <= octet < 0x7F  # noqa: PLR2004 - ASCII
} | {0x5C: "\\\\"}


def policy_domain(identity: Literal["helo", "mailfrom"], text: str) -> SpfFact | str:
    """Return the canonical domain whose policy counts for an identity (RFC 7208 §4.3).

    Or the fact, with the result none, for whatever is no domain of several labels.
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

    Or the fact if there is not exactly one policy.
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


def policies(records: Sequence[Rdata]) -> list[bytes]:
    """Return the SPF records among the TXT records of a domain (RFC 7208 §3.3, §4.5).

    The strings of a record are joined; a policy starts with `v=spf1`, in any case, and
    goes on with a space or not at all.
    """
    texts = []
    for strings in cast("Sequence[tuple[bytes, ...]]", records):
        text = strings[0] if len(strings) == 1 else b"".join(strings)
        if text[:6].lower() == _VERSION and (text[6:7] == _SPACE or len(text) == len(_VERSION)):
            texts.append(text)
    return texts


def only_policy(answer: Answer) -> bytes | None:
    """Return the only policy among TXT records (§4.5), in ASCII (§3.1); else None."""
    texts = policies(answer.records)
    return texts[0] if len(texts) == 1 and texts[0].isascii() else None


class Answers:
    """The answers so far, and which of them the evaluation has used."""

    __slots__ = ("known", "used")

    def __init__(self) -> None:
        self.known: dict[Question, Answer] = {}
        self.used: dict[Question, Answer] = {}

    def ask_unknown(self, questions: Sequence[Question]) -> Steps[list[Answer]]:
        """Return the answers to questions, asking for those that are not known."""
        known = self.known
        lacking = [question for question in questions if question not in known]
        if lacking:
            lacking = list(dict.fromkeys(lacking))
            known.update(zip(lacking, (yield lacking), strict=True))
        found = [known[question] for question in questions]
        self.used.update(zip(questions, found, strict=True))
        return found

    @property
    def settled(self) -> bool:
        """Whether no lookup that was used has failed."""
        return SETTLED.issuperset([answer.status for answer in self.used.values()])

    @property
    def ttl(self) -> int | None:
        """The lowest TTL of the answers used, in seconds, None if none had a TTL."""
        ttls = [answer.ttl for answer in self.used.values() if answer.ttl is not None]
        return min(ttls, default=None)

    @property
    def exhausted(self) -> bool:
        """Whether the limit of questions is reached."""
        return len(self.known) >= _MAX_QUESTIONS


class PublishedPolicy(NamedTuple):
    """The published policy of a domain, or the fact if there is none.

    Either `policy` is the record, in ASCII, or `fact` is the result for every address.
    `answers` are those fetched so far.
    """

    domain: str
    policy: bytes
    fact: SpfFact | None
    answers: Answers

    @property
    def record(self) -> str | None:
        """The record as `SpfFact` shows it, None without one or with several."""
        return self.fact.record if self.fact else printable(self.policy)


def published(domain: str) -> Steps[PublishedPolicy]:
    """Fetch the policy of a domain, any text (RFC 7208 §4.3 to §4.5)."""
    answers = Answers()
    name = policy_domain("helo", domain)
    if isinstance(name, SpfFact):
        return PublishedPolicy(name.domain, b"", name, answers)
    (answer,) = yield from answers.ask_unknown([Question(name, TXT)])
    policy = policy_or_fact("helo", name, answer)
    if isinstance(policy, SpfFact):
        return PublishedPolicy(name, b"", policy, answers)
    return PublishedPolicy(name, policy, None, answers)


def mail_hosts(records: Sequence[Rdata]) -> list[str] | None:
    """Return the hosts that an mx mechanism compares, in order; None if they are too many.

    Ten at most (RFC 7208 §4.6.4); a null MX is none.
    """
    hosts = cast("Sequence[tuple[int, str]]", records)
    return [name for _, name in hosts if name != NULL_MX] if len(hosts) <= MAX_MX else None


def printable(text: bytes) -> str:
    r"""Return octets as printable ASCII: `\\` and `\DDD` where they are not."""
    if text.isascii() and (shown := text.decode("ascii")).isprintable() and "\\" not in shown:
        return shown
    return text.decode("latin-1").translate(_SHOWN)


def shown(explanation: str) -> str:
    """Return an explanation as printable ASCII, cut where it is long."""
    cut = "..." if len(explanation) > _MAX_EXPLANATION_CHARACTERS else ""
    return printable(explanation[:_MAX_EXPLANATION_CHARACTERS].encode("utf-8")) + cut
