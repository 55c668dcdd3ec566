"""The judge: facts to findings to a verdict. Pure; called for every target.

It interprets facts and looks nothing up: no questions, no clock.
Findings are sorted by code and subject, without duplicates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.checks.address import MAX_NAMES, without_origin
from auditor.findings.catalogue import ENTRIES
from auditor.findings.entry import SEVERITIES
from auditor.findings.generic_names import is_generic
from auditor.findings.plain_names import MAX_PLAIN_CHARACTERS, is_plain_parent
from auditor.publicsuffix import is_public
from auditor.spf.result import is_bogus
from auditor.wire.addresses import is_global
from auditor.wire.codes import BOGUS, NOERROR, REFUSED, SETTLED
from auditor.wire.names import NULL_MX, is_hostname, is_multi_label
from auditor.wire.reverse import is_reverse, reverse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.checks.facts import AddressFact, DomainFact, HeloFact, IprevFact, MxHost, PtrFact
    from auditor.checks.server_agreement import ServerAnswers
    from auditor.findings.entry import Severity, Verdict
    from auditor.findings.rules import RuleSet
    from auditor.spf.result import SpfFact
    from auditor.targets.target import Target

__all__ = [
    "VERDICTS",
    "Finding",
    "fails",
    "judge_domain",
    "judge_expected",
    "judge_helo",
    "judge_invalid",
    "judge_ip",
    "judge_name",
    "judge_nameless",
    "judge_names",
    "judge_servers",
    "judge_spf",
    "verdict",
    "weigh",
]

#: The verdicts, best first.
VERDICTS: Final = ("pass", "warn", "unknown", "fail")

_UNDETERMINED: Final = frozenset(entry.code for entry in ENTRIES if entry.undetermined)
_RANK: Final[dict[str, int]] = {severity: rank for rank, severity in enumerate(SEVERITIES)}

#: Statuses of a server that does not have the zone (RFC 1912 §2.8).
_LAME: Final = frozenset({REFUSED, "NOTAUTH"})

_SPF_CODES: Final = {
    "fail": "SPF_FAIL",
    "softfail": "SPF_SOFTFAIL",
    "neutral": "SPF_NEUTRAL",
    "permerror": "SPF_PERMERROR",
    "temperror": "SPF_UNDETERMINED",
}


class Finding(NamedTuple):
    """A coded judgement; `subject` is the address, the name or the line that it is about."""

    code: str
    severity: Severity
    subject: str


def judge_ip(
    target_text: str,
    version: int,
    ptr: PtrFact,
    iprev: IprevFact,
    spf: Sequence[SpfFact],
    *,
    helo: HeloFact | None = None,
    expected: str = "",
    undelegated: str = "",  # a zone of the user's own that the zone above denies
    rule_set: RuleSet,
) -> list[Finding]:
    """Return the findings about an address; `expected`: the PTR name that it is to have."""
    codes: list[tuple[str, str]] = []
    if not is_global(target_text, version):
        codes.append(("TARGET_NOT_GLOBAL", target_text))
    if ptr.names:
        for name in ptr.names[:MAX_NAMES]:
            judge_name(name, target_text, codes, ptr.owner)
        judge_names(target_text, ptr, iprev, expected, codes)
    elif ptr.is_host_alias:
        codes.append(("PTR_ALIAS_TO_HOST", target_text))
    else:
        judge_nameless(target_text, ptr.status, codes)
    if undelegated:
        codes.append(("DELEGATION_MISSING", undelegated))
    if helo is not None:
        judge_helo(helo, ptr.names, codes)
    for fact in spf:
        if fact.result != "pass" or fact.differs:
            judge_spf(fact, codes)
    return weigh(codes, rule_set) if codes else []


def judge_name(name: str, address: str, codes: list[tuple[str, str]], owner: str = "") -> None:
    """Judge a PTR name by itself, adding (code, subject) to `codes`.

    `owner` is where the PTR record stands, "" for the reverse name of the address.
    """
    if name.endswith("arpa") or (owner and not is_reverse(owner)):
        owner = owner or reverse_name(address)
        if without_origin(name, owner):
            codes.append(("PTR_DOT_MISSING", name))
            return
        if is_reverse(name):
            codes.append(("PTR_IN_ARPA", name))
            return
    head, _, parent = name.partition(".")
    # What follows the first label is the same for a whole block as a rule.
    is_label = head.replace("-", "").isalnum() and not (head[0] == "-" or head[-1] == "-")
    if not (is_label and is_plain_parent(parent) and len(name) <= MAX_PLAIN_CHARACTERS):
        if not is_hostname(name):
            codes.append(("PTR_INVALID_NAME", name))
        elif not is_public(name):
            codes.append(("PTR_UNKNOWN_TLD", name))
    if is_generic(name, address) is not None:
        codes.append(("PTR_GENERIC", name))


def judge_expected(expected: str, names: Sequence[str], codes: list[tuple[str, str]]) -> None:
    """Judge PTR names by the expected name of the input, "" for none, adding to `codes`."""
    if expected and expected not in names:
        codes.append(("PTR_UNEXPECTED", expected))


def judge_nameless(address: str, status: str, codes: list[tuple[str, str]]) -> None:
    """Judge an address without a PTR name by the status of that lookup, adding to `codes`."""
    codes.append(("PTR_MISSING" if status in SETTLED else _unread("PTR", status), address))
    _judge_server(status, address, codes)


def _unread(kind: str, status: str) -> str:
    """Return the code for a lookup that failed with `status`."""
    return f"{kind}_BOGUS" if status == BOGUS else f"{kind}_UNDETERMINED"


def judge_names(
    address: str, ptr: PtrFact, iprev: IprevFact, expected: str, codes: list[tuple[str, str]]
) -> None:
    """Judge PTR names as a whole: how many, where from, and where they lead; not each by itself."""
    if len(ptr.names) > 1:
        codes.append(("PTR_MULTIPLE" if len(ptr.names) <= MAX_NAMES else "PTR_TOO_MANY", address))
    if ptr.wildcard:
        codes.append(("PTR_WILDCARD", ptr.wildcard))
    _judge_iprev(iprev, codes)
    judge_expected(expected, ptr.names, codes)


def _judge_server(status: str, subject: str, codes: list[tuple[str, str]]) -> None:
    if status in _LAME:
        codes.append(("SERVER_LAME", subject))


def _judge_iprev(iprev: IprevFact, codes: list[tuple[str, str]]) -> None:
    """Judge the PTR names that do not lead back, by what that means for the whole.

    Only if iprev fails is each of them an error. Where another name confirms, or might, a
    name that does not is `FORWARD_PARTIAL`; and next to one that confirms it does not
    matter that a name could not be looked up.
    """
    result = iprev.result
    for name, status, _, confirms, alias in iprev.names:
        if alias:
            codes.append(("FORWARD_CNAME", name))
        if confirms:
            continue
        if status not in SETTLED:
            if result != "pass":
                codes.append((_unread("FORWARD", status), name))
            _judge_server(status, name, codes)
        elif result != "fail":
            codes.append(("FORWARD_PARTIAL", name))
        else:
            codes.append(("FORWARD_MISMATCH" if status == NOERROR else "FORWARD_MISSING", name))


def judge_helo(helo: HeloFact, names: Sequence[str], codes: list[tuple[str, str]]) -> None:
    """Judge the HELO name of an address with PTR names `names`, adding to `codes`.

    A failed lookup is no finding about the name.
    """
    if helo.status is None:
        codes.append(("HELO_NOT_FQDN", helo.name))
    elif helo.status in SETTLED:
        if not helo.addresses:
            codes.append(("HELO_UNRESOLVABLE", helo.name))
        elif not helo.confirms:
            codes.append(("HELO_MISMATCH", helo.name))
        if helo.addresses and names and helo.name not in names:
            codes.append(("HELO_NOT_PTR", helo.name))


def judge_spf(fact: SpfFact, codes: list[tuple[str, str]]) -> None:
    """Judge an SPF fact, adding (code, subject) to `codes`."""
    if fact.differs:
        codes.append(("SPF_VERIFIERS_DIFFER", fact.domain))
    if fact.result == "none":
        # A HELO name need not have a policy, and an address literal or a single label cannot.
        if fact.identity == "mailfrom" and is_multi_label(fact.domain):
            codes.append(("SPF_NONE", fact.domain))
    elif fact.result == "permerror" and fact.record is None:
        # The only permerror without a policy: there are several (RFC 7208 §4.5).
        codes.append(("SPF_MULTIPLE_RECORDS", fact.domain))
    elif fact.result == "temperror" and is_bogus(fact):
        codes.append(("SPF_BOGUS", fact.domain))
    elif fact.result != "pass":
        codes.append((_SPF_CODES[fact.result], fact.domain))


def judge_domain(target_text: str, fact: DomainFact, rule_set: RuleSet) -> list[Finding]:
    """Return the findings about a domain: its addresses, its mail hosts, its policy.

    Addresses that take mail are those of the MX hosts, or the domain's own without any
    (implicit MX, RFC 5321 §5.1). Taking mail needs no PTR, so one that is not confirmed is
    `MX_UNCONFIRMED`, not the error that it is for an address which is audited as a sender.
    """
    codes: list[tuple[str, str]] = []
    unread = fact.status not in SETTLED
    if unread:
        codes.append((_unread("ADDRESS", fact.status), target_text))
        _judge_server(fact.status, target_text, codes)
    if fact.mx:
        for address in fact.addresses:
            _judge_own_address(address, codes)
        _judge_hosts(target_text, fact.mx, codes)
    else:
        for address in fact.addresses:
            _judge_mail_address(address, codes)
        if fact.mx_status not in SETTLED:
            codes.append((_unread("MX", fact.mx_status), target_text))
            _judge_server(fact.mx_status, target_text, codes)
        elif fact.addresses:
            codes.append(("MX_MISSING", target_text))
        elif not unread:
            codes.append(("ADDRESS_MISSING", target_text))
    policy = fact.spf
    if policy.status not in SETTLED:
        codes.append((_unread("SPF", policy.status), target_text))
        _judge_server(policy.status, target_text, codes)
    elif policy.policies != 1:
        codes.append(("SPF_MULTIPLE_RECORDS" if policy.policies else "SPF_NONE", target_text))
    codes.extend(policy.problems)
    return weigh(codes, rule_set)


def _judge_hosts(domain: str, hosts: Sequence[MxHost], codes: list[tuple[str, str]]) -> None:
    for host in hosts:
        name = host.name
        if name == NULL_MX and len(hosts) == 1:
            codes.append(("MX_NULL", domain))
        elif not is_hostname(name.replace("_", "x")):
            codes.append(("MX_INVALID_NAME", name))
        elif host.status not in SETTLED:
            codes.append((_unread("MX", host.status), name))
            _judge_server(host.status, name, codes)
        elif not host.addresses:
            codes.append(("MX_UNRESOLVABLE", name))
        if not is_hostname(name) and is_hostname(name.replace("_", "x")):
            codes.append(("MX_UNDERSCORE", name))
        if host.alias:
            codes.append(("MX_CNAME", name))
        for address in host.addresses:
            _judge_mail_address(address, codes)


def _judge_mail_address(fact: AddressFact, codes: list[tuple[str, str]]) -> None:
    address, ptr, iprev = fact
    if not is_global(address, 6 if ":" in address else 4):
        codes.append(("TARGET_NOT_GLOBAL", address))
    elif iprev.result == "temperror":
        statuses = [name.status for name in iprev.names if name.status not in SETTLED]
        status = BOGUS if {BOGUS}.issuperset(statuses or (ptr.status,)) else ""
        codes.append((_unread("FORWARD" if ptr.names else "PTR", status), address))
    elif iprev.result != "pass":
        codes.append(("MX_UNCONFIRMED", address))


def _judge_own_address(fact: AddressFact, codes: list[tuple[str, str]]) -> None:
    address, _, iprev = fact
    if not is_global(address, 6 if ":" in address else 4):
        codes.append(("TARGET_NOT_GLOBAL", address))
    elif iprev.result in {"fail", "permerror"}:  # informational only: an unread one is no finding
        codes.append(("ADDRESS_UNCONFIRMED", address))


def judge_servers(server_answers: Iterable[ServerAnswers], rule_set: RuleSet) -> list[Finding]:
    """Return the findings about servers with different answers to the same question."""
    return weigh(
        [
            ("SERVERS_DISAGREE", answers.question.name)
            for answers in server_answers
            if answers.differs
        ],
        rule_set,
    )


def judge_invalid(target: Target, rule_set: RuleSet) -> list[Finding]:
    """Return the finding about a line that is not a target."""
    return weigh([("TARGET_INVALID", target.text)], rule_set)


def weigh(codes: list[tuple[str, str]], rule_set: RuleSet) -> list[Finding]:
    """Return the findings for (code, subject) that are selected in this run, sorted, each once."""
    severities = rule_set.severities
    return [
        Finding(code, severities[code], subject)
        for code, subject in sorted(set(codes))
        if code in severities
    ]


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return `fail` with any error, else `unknown` with any finding that is undetermined
    (whatever its severity), else `warn` with any warning, else `pass`.
    """  # noqa: D205 - one sentence, the whole rule
    outcome: Verdict = "pass"
    for code, severity, _ in findings:
        if severity == "error":
            return "fail"
        if code in _UNDETERMINED:
            outcome = "unknown"
        elif severity == "warning" and outcome == "pass":
            outcome = "warn"
    return outcome


def fails(fail_on: str, severities: Iterable[str], verdicts: Iterable[str]) -> bool:
    """Tell whether findings and records like these are what `--fail-on` names.

    `unknown` means a record that is undetermined or fails, a severity any finding that is at
    least as severe, `never` nothing.
    """
    if fail_on == "unknown":
        return not {"unknown", "fail"}.isdisjoint(verdicts)
    return fail_on != "never" and any(_RANK[severity] >= _RANK[fail_on] for severity in severities)
