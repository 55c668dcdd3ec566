"""Lookups of `auditor check` beyond a record, to fill in its advice.

The ends of aliases, whether the names to publish already have addresses, and the policies that
findings are about. Nearly all of it is in the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from auditor.checks.address import without_origin
from auditor.resolve.answer import Question
from auditor.resolve.steps import together
from auditor.wire.codes import AAAA, MX, SETTLED, A, type_name
from auditor.wire.names import is_hostname, parent_of
from auditor.wire.reverse import is_reverse

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from auditor.resolve.answer import Answer, Steps
    from auditor.spf.lint.correction import Correction
    from auditor.spf.lint.problems import Problem

__all__ = ["FollowUpFacts", "Wildcard", "follow_up"]

#: Names and policies of one record that are looked up at most.
_MAX_LOOKED_UP: Final = 32


class Wildcard(NamedTuple):
    """Address and MX records of the wildcard `name`, as type and fields."""

    name: str
    records: tuple[tuple[str, tuple[str, ...]], ...]


class FollowUpFacts(NamedTuple):
    """Facts about a target beside its record.

    `helo` is the HELO name that was given, `expected` the PTR name, or "". `aliases` are names
    with what their CNAMEs lead to, `addresses` names with their addresses of both families,
    empty if there certainly are none. `policies` are by domain, `problems` by code and domain.
    `wildcards` are those that names come from (RFC 4592) which may have to be published, by name.
    `is_complete`: all of it was looked up, so that names not in `aliases` are no aliases.
    """

    helo: str = ""
    expected: str = ""
    aliases: Mapping[str, str] = {}
    addresses: Mapping[str, tuple[str, ...]] = {}
    policies: Mapping[str, Correction] = {}
    problems: Mapping[tuple[str, str], tuple[Problem, ...]] = {}
    wildcards: Mapping[str, Wildcard] = {}
    is_complete: bool = False


def follow_up(record: Mapping[str, Any], helo: str, expected: str = "") -> Steps[FollowUpFacts]:
    """Look up what the advice about a record needs.

    `helo` and `expected`: the HELO name and the PTR name that were given, or "".
    """
    given = [name for name in (expected, helo) if name]
    names, corrected = yield from together(
        cast("list[Steps[Any]]", [_hosts(record, given), _policies(record)])
    )
    aliases, addresses = names
    owners, policies, problems = corrected
    wildcards = yield from _wildcards(record, owners, addresses)
    aliases |= owners
    return FollowUpFacts(
        helo, expected, aliases, addresses, policies, problems, wildcards, is_complete=True
    )


def _hosts(
    record: Mapping[str, Any], given: Sequence[str]
) -> Steps[tuple[dict[str, str], dict[str, tuple[str, ...]]]]:
    named = dict.fromkeys(_named(record, given))
    names = [name for name in named if is_hostname(name) or name == record["target"]][
        :_MAX_LOOKED_UP
    ]
    questions = [Question(name, rdtype) for name in names for rdtype in (A, AAAA)]
    answers = yield questions
    aliases: dict[str, str] = {}
    addresses: dict[str, tuple[str, ...]] = {}
    for at, name in enumerate(names):
        pair = answers[2 * at : 2 * at + 2]
        answer = pair[0] if pair[0].canonical else pair[1]
        if answer.canonical:  # an alias in a loop leads to nothing
            aliases[name] = "" if answer.canonical in answer.chain else answer.canonical
        if all(answer.status in SETTLED for answer in pair):
            addresses[name] = tuple(str(record) for answer in pair for record in answer.records)
    return aliases, addresses


def _named(record: Mapping[str, Any], given: Sequence[str]) -> Iterator[str]:
    """Yield the names that may have to be published, or are found to be aliases."""
    yield from given
    if record["findings"]:
        ptr = record["ptr"]
        if ptr is not None:
            for name in ptr["names"]:
                yield without_origin(name, ptr["owner"] or "") or name
            if ptr["chain"] and ptr["owner"]:
                yield ptr["owner"]
        if record["domain"]:
            for host in record["domain"]["mx"]["hosts"]:
                yield without_origin(host["name"], record["target"]) or host["name"]
            yield record["target"]


def _wildcards(
    record: Mapping[str, Any], owners: Mapping[str, str], hosts: Iterable[str]
) -> Steps[dict[str, Wildcard]]:
    """Return the names to publish whose records come from a wildcard.

    These are the owners of policies with findings, and the hosts of an address.
    """
    domains = [
        finding["subject"] for finding in record["findings"] if finding["code"].startswith("SPF_")
    ]
    names = [name for name in (owners.get(domain, domain) for domain in domains) if "." in name]
    if record["kind"] == "ip" and record["findings"]:
        names += [name for name in hosts if not is_reverse(name)]
    pairs = [(name, f"*.{parent_of(name)}") for name in dict.fromkeys(names[:_MAX_LOOKED_UP])]
    asked = [Question(name, rdtype) for pair in pairs for name in pair for rdtype in (A, AAAA, MX)]
    answers = dict(zip(asked, (yield asked), strict=True)) if asked else {}
    records = {question: sorted(map(str, answer.records)) for question, answer in answers.items()}
    return {
        name: Wildcard(wildcard, _address_records(name, answers))
        for name, wildcard in pairs
        if any(records[Question(name, rdtype)] for rdtype in (A, AAAA, MX))
        and all(
            records[Question(name, rdtype)] == records[Question(wildcard, rdtype)]
            for rdtype in (A, AAAA, MX)
        )
    }


def _address_records(
    name: str, answers: Mapping[Question, Answer]
) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the address and MX records of a name: type and fields of each."""
    return tuple(
        (
            type_name(rdtype),
            tuple(map(str, record)) if isinstance(record, tuple) else (str(record),),
        )
        for rdtype in (A, AAAA, MX)
        for record in answers[Question(name, rdtype)].records
    )


def _policies(
    record: Mapping[str, Any],
) -> Steps[
    tuple[dict[str, str], dict[str, Correction], dict[tuple[str, str], tuple[Problem, ...]]]
]:
    """Lint the policies that findings are about, find their owners, and correct them."""
    codes = {finding["code"] for finding in record["findings"]}
    if not any(code.startswith("SPF_") for code in codes):
        yield from ()
        return {}, {}, {}
    from auditor.spf.lint.correction import correct, policy_owner  # noqa: PLC0415 - most targets need it not
    from auditor.spf.lint.policy import lint  # noqa: PLC0415 - the same

    domains = [fact["domain"] for fact in record["spf"]]
    domains += [record["target"]] if record["domain"] else []
    reports = yield from together([lint(name) for name in dict.fromkeys(domains[:_MAX_LOOKED_UP])])
    aliases: dict[str, str] = {}
    corrections: dict[str, Correction] = {}
    problems: dict[tuple[str, str], tuple[Problem, ...]] = {}
    for report in reports:
        owners = {report.summary.domain, *(problem.domain for problem in report.problems)}
        aliases |= {
            domain: end for domain in owners if (end := policy_owner(report, domain)) != domain
        }
        for domain in sorted(owners - corrections.keys()):
            correction = correct(report, domain)
            if correction is not None:
                corrections[domain] = correction
        for problem in report.problems:
            key = problem.code, problem.domain
            if problem not in problems.get(key, ()):
                problems[key] = (*problems.get(key, ()), problem)
    return aliases, corrections, problems
