"""Evaluator for one client: `check_host()` of policies without macros, `ptr` and `exp=`.

Evaluates valid policies as long as no `ptr` and no macro is reached and no `exp=` is needed.
Outcome and questions equal those of `pyspf_evaluator` to the octet, at a twentieth of the cost; a
property test compares the two. Everything else is left to pyspf, but its questions are predicted
here.
"""

from __future__ import annotations

from ipaddress import ip_address
from socket import AF_INET6, inet_aton, inet_ntoa, inet_pton
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from auditor.resolve.answer import Question
from auditor.spf.compile import (
    IS_A,
    IS_ALL,
    IS_EXISTS,
    IS_INCLUDE,
    IS_MX,
    IS_NET,
    IS_NETS,
    IS_OPAQUE,
    compiled_policy,
)
from auditor.spf.limits import MAX_LOOKUPS, MAX_MX, MAX_VOIDS
from auditor.spf.records import mail_hosts, policies, printable, shown
from auditor.spf.result import Outcome, fact_of, with_difference
from auditor.wire.addresses import MAPPED_PREFIX, V4, number_of
from auditor.wire.codes import AAAA, MX, NOERROR, SETTLED, TXT, A, type_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.resolve.answer import Answer, Rdata, Steps
    from auditor.spf.compile import CompiledPolicy, CompiledTerm
    from auditor.spf.result import SpfFact

__all__ = [
    "Client",
    "client_of",
    "evaluate_directly",
    "evaluate_policy",
    "helo_fact",
    "lacking_questions",
    "shared_outcome",
]

#: The address that is asked about, as text, IP version and number; an IPv4-mapped one is IPv4
#: (RFC 7208 §5). A plain tuple, as there is one for every evaluation.
Client: TypeAlias = tuple[str, int, int]

_NEW: Final = tuple.__new__


class _NeedsPyspfError(Exception):
    """Something that is left to pyspf."""


class _EndError(Exception):
    """The evaluation ends with an error: result and explanation."""

    def __init__(self, result: str, explanation: str) -> None:
        super().__init__(result, explanation)
        self.result = result
        self.explanation = explanation


def client_of(address: str) -> Client:
    """Return the client of an address in canonical text."""
    if ":" not in address:
        return address, 4, int.from_bytes(inet_aton(address))
    packed = inet_pton(AF_INET6, address)
    if packed.startswith(MAPPED_PREFIX):
        return inet_ntoa(packed[12:]), 4, int.from_bytes(packed[12:])
    return address, 6, int.from_bytes(packed)


def evaluate_policy(
    address: str, sender: str, helo: str, policy: bytes, answers: dict[Question, Answer]
) -> Steps[Outcome]:
    """Return the outcome of a policy for an address, asking for missing answers.

    Arguments as for `check_host`; `sender` has the domain of the policy. Plain policies are
    evaluated here, all others by pyspf. Every round brings at least one answer that was lacking,
    and what an evaluation can ask for is bounded (RFC 7208 §4.6.4), so this ends.
    """
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


def evaluate_directly(
    client: Client, policy: bytes, domain: str, answers: Mapping[Question, Answer]
) -> Outcome | list[Question] | None:
    """Return the outcome of a policy for a client, or the questions without an answer yet.

    None: this is for pyspf. `policy` is the SPF record of `domain` (canonical), in ASCII.
    The questions are all that can be predicted: a lookup
    without an answer yet counts as no match, and the terms after it are looked at as well.
    Every round brings answers that were lacking, and there are few of them (§4.6.4).
    """
    if ":" in domain:
        return None  # which pyspf takes for the end of the name of a mechanism
    run = _Evaluation(client, answers)
    program = compiled_policy(policy, client[1])
    try:
        outcome = run.outcome(program, domain)
        if run.lacking:
            return list(run.lacking)
        if run.skipped_void:
            eager = _Evaluation(client, answers, eager=True).outcome(program, domain)
            outcome = with_difference(outcome, eager.result)
    except _NeedsPyspfError:
        return None
    return outcome


def lacking_questions(
    client: Client, policy: bytes, domain: str, answers: Mapping[Question, Answer]
) -> list[Question]:
    """Return the questions of a policy about a client that can be predicted.

    For other evaluators, to save rounds: a lookup that is not supported here, or without an
    answer yet, counts as no match. Terms are looked at up to the first one that
    surely matches, and to the lookup limit; so the questions are few.
    """
    if ":" in domain:
        return []
    run = _Evaluation(client, answers, ahead=True)
    run.outcome(compiled_policy(policy, client[1]), domain)
    return list(run.lacking)


def helo_fact(
    client: Client, name: str, policy: bytes, known: Mapping[Question, Answer]
) -> SpfFact | list[Question] | None:
    """Return the fact of a HELO name with this policy, as `check_host` does, without its steps.

    Or the questions that are lacking in `known`; None where `check_host` has to be asked.
    """
    outcome = evaluate_directly(client, policy, name, known)
    if outcome is None or isinstance(outcome, list):
        return outcome
    return None if outcome.differs else fact_of("helo", name, outcome, printable(policy))


def shared_outcome(policy: bytes, version: int) -> Outcome | None:
    """Return the outcome of a policy for any client with an address of the domain.

    None if it depends on more: then use `evaluate_directly`. For `a` and `all`, where
    they are the first term that counts.
    """
    program = compiled_policy(policy, version)
    if program is None or not program.ops:
        return None
    op = program.ops[0]
    if op.kind != IS_ALL and (op.kind != IS_A or op.owner):
        return None
    if program.explains and op.result == "fail":
        return None
    return Outcome(op.result, op.text, int(op.kind == IS_A), 0, None)


class _Evaluation:
    """One evaluation: the lookups and voids so far, and the missing answers.

    `eager`: as verifiers do that look up all hosts of an mx before they compare any.
    `skipped_void`: a host after the one that matched has no address. `ahead`: only the
    questions are needed.
    """

    __slots__ = (
        "_ahead",
        "_answers",
        "_eager",
        "_number",
        "_rdtype",
        "_text",
        "_version",
        "lacking",
        "lookups",
        "skipped_void",
        "voids",
    )

    def __init__(
        self,
        client: Client,
        answers: Mapping[Question, Answer],
        *,
        eager: bool = False,
        ahead: bool = False,
    ) -> None:
        self._text, self._version, self._number = client
        self._rdtype = A if self._version == V4 else AAAA
        self._answers = answers
        self._eager = eager
        self._ahead = ahead
        self.lookups = 0
        self.voids = 0
        self.skipped_void = False
        self.lacking: dict[Question, None] = {}

    def outcome(self, program: CompiledPolicy | None, domain: str) -> Outcome:
        """Return the outcome of the policy of a domain, if no answer is lacking."""
        mechanism = explanation = None
        try:
            result, mechanism = self.evaluate_policy(program, domain, domain)
        except _EndError as end:
            result, explanation = end.result, shown(end.explanation)
        fields = result, mechanism, self.lookups, self.voids, explanation, None
        return _NEW(Outcome, fields)

    def evaluate_policy(
        self, program: CompiledPolicy | None, domain: str, owner: str, *, included: bool = False
    ) -> tuple[str, str | None]:
        """Return the result of a policy and the term that gave it (RFC 7208 §4.6, §4.7).

        `domain` is what the policy was found by, `owner` the same as an owner name.
        """
        if program is None:
            self._leave()
            return "neutral", None
        ops, redirect, explains = program
        number = self._number
        for op in ops:
            kind, text, result, _, about, shift, network, nets = op
            if kind == IS_NET:
                if number >> shift != network:
                    continue
            elif kind == IS_NETS:
                hits = [hit for shift, known in nets if (hit := known.get(number >> shift))]
                if not hits:
                    continue
                _, text, result = min(hits)
            elif kind == IS_A:
                self._spend()
                question = _NEW(Question, (about or owner, self._rdtype))
                if not self._matches(shift, self._records(question)):
                    continue
            elif kind != IS_ALL and not self._looked_up(op, domain, owner):
                continue
            if explains and result == "fail" and not included:
                self._leave()
            return result, text
        return ("neutral", None) if redirect is None else self._redirect(redirect, included)

    def _looked_up(self, op: CompiledTerm, domain: str, owner: str) -> bool:
        """Tell whether a mechanism that needs more than addresses matches."""
        self._spend()
        kind = op.kind
        if kind == IS_MX:
            return self._hosts(op.shift, op.name or domain, op.owner or owner)
        if kind == IS_INCLUDE:
            return self._include(op)
        if kind == IS_EXISTS:
            return bool(self._records(Question(op.owner, A)))
        self._leave()
        return False

    def _leave(self) -> None:
        """Leave the rest to pyspf, unless answers are missing, which might match before."""
        if not self.lacking and not self._ahead:
            raise _NeedsPyspfError

    def _spend(self) -> None:
        self.lookups += 1
        if self.lookups > MAX_LOOKUPS:
            raise _EndError("permerror", "Too many DNS lookups")

    def _records(self, question: Question) -> Sequence[Rdata]:
        """Return the records of an answer, () if there are none, and count it if so (§4.6.4)."""
        answer = self._answers.get(question)
        if answer is None:
            self.lacking[question] = None
            return ()
        if answer.status == NOERROR:
            return answer.records
        lookup_text = f"{type_name(question.rdtype)} of {question.name}"
        if answer.status not in SETTLED:
            raise _EndError("temperror", f"{lookup_text}: {answer.status}")
        self.voids += 1
        if self.voids > MAX_VOIDS:
            raise _EndError("permerror", f"more than {MAX_VOIDS} void lookups: {lookup_text}")
        return ()

    def _matches(self, shift: int, addresses: Sequence[Rdata]) -> bool:
        """Tell whether the client is in the same network as any of the addresses."""
        if not shift and self._version == V4:
            return self._text in addresses
        wanted = self._number >> shift
        return any(
            number_of(address) >> shift == wanted for address in cast("Sequence[str]", addresses)
        )

    def _hosts(self, shift: int, name: str, owner: str) -> bool:
        """Tell whether the client is an MX host: the first that matches ends it (§5.4)."""
        hosts = mail_hosts(self._records(Question(owner, MX)))
        if hosts is None:
            raise _EndError("permerror", f"more than {MAX_MX} MX records: MX of {name}")
        questions = [Question(host, self._rdtype) for host in hosts]
        if self._eager:
            record_lists = [self._records(question) for question in questions]
            return any(self._matches(shift, addresses) for addresses in record_lists)
        for place, question in enumerate(questions):
            if self._matches(shift, self._records(question)):
                self._skip(questions[place + 1 :])
                return True
        return False

    def _skip(self, questions: Sequence[Question]) -> None:
        """Note whether any of the lookups that need not be made is void."""
        for question in questions:
            answer = self._answers.get(question)
            if answer is None:
                self.lacking[question] = None
            elif answer.status != NOERROR and answer.status in SETTLED:
                self.skipped_void = True

    def _include(self, op: CompiledTerm) -> bool:
        """Tell whether an included policy passes the client (§5.2)."""
        referred = self._referred(op.owner)
        if referred is None:
            return False
        if not referred:
            lookup_text = f"No valid SPF record for included domain: {op.name}"
            raise _EndError("permerror", f"{lookup_text}: {op.text}")
        program = compiled_policy(referred, self._version)
        return self.evaluate_policy(program, op.name, op.owner, included=True)[0] == "pass"

    def _redirect(self, op: CompiledTerm, included: bool) -> tuple[str, str | None]:  # noqa: FBT001 - as it is
        """Continue with the policy of a redirect in place of this one (§6.1)."""
        self._spend()
        if op.kind == IS_OPAQUE:
            self._leave()
            return "neutral", None
        referred = self._referred(op.owner)
        if referred is None:
            return "neutral", None
        if not referred:
            raise _EndError("permerror", f"no SPF record to redirect to: {op.text}")
        program = compiled_policy(referred, self._version)
        return self.evaluate_policy(program, op.name, op.owner, included=included)

    def _referred(self, owner: str) -> bytes | None:
        """Return the policy of a name, b"" without one; None if that is not known yet."""
        question = Question(owner, TXT)
        texts = policies(self._records(question))
        if len(texts) > 1:  # §4.5
            trouble = f"{len(texts)} SPF records at {owner}, expected one"
            raise _EndError("permerror", trouble)
        if texts:
            return texts[0]
        return None if question in self.lacking else b""
