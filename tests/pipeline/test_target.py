"""One target through all stages: identities, and the same bytes whatever goes on around it."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
from support.fake_engine import FakeEngine
from support.fleet import FLEET
from support.spf_answers import Zone
from support.stepping import driven
from support.virtual_time import run_virtual

from auditor.findings.rules import RuleSet
from auditor.output.tally import Tally
from auditor.pipeline.pipeline import Limits, Pipeline
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.answer import Answer, Question
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.run.scan import drive
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.targets.target import Origin, Target
from auditor.wire.codes import PTR, TXT, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import AnswerCallback

_ADDRESS = "198.51.100.7"


def _names(*names: str) -> Zone:
    """Return a zone in which an address has these names, all of which point back."""
    return Zone(
        {
            reverse_name(_ADDRESS): {PTR: list(names)},
            **{name: {A: [_ADDRESS]} for name in names},
            "example.net": {TXT: [(b"v=spf1 ip4:198.51.100.0/24 -all",)]},
            "example.org": {TXT: [(b"v=spf1 -all",)]},
            "mx.example.net": {A: [_ADDRESS], TXT: [(b"v=spf1 a -all",)]},
        }
    )


def _record(zone: Zone, origin: Origin | None = None, **settings: Any) -> dict[str, Any]:
    auditor = TargetAuditor(Settings(**settings), RuleSet())
    driven(auditor.look_up_shared(), zone.answer)
    target = Target(_ADDRESS, "ip", 4, origin or Origin())
    record, _ = driven(auditor.audit(target), zone.answer)
    return dict(record)


def _spf(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(fact["identity"], fact["domain"], fact["result"]) for fact in record["spf"]]


# --- Identities


def test_without_identities_each_confirmed_name_is_the_helo_name() -> None:
    zone = _names("a.example.net", "mx.example.net")
    assert _spf(_record(zone)) == [
        ("helo", "a.example.net", "none"),
        ("helo", "mx.example.net", "pass"),
    ]
    lost = Zone({reverse_name(_ADDRESS): {PTR: ["a.example.net"]}, "a.example.net": {A: "TIMEOUT"}})
    assert _spf(_record(lost)) == []


@pytest.mark.parametrize("source", ["line", "settings"])
def test_a_helo_name_that_is_given_takes_the_place_of_the_names(source: str) -> None:
    helo = "mx.example.net"
    record = (
        _record(_names("a.example.net"), Origin(helo=helo))
        if source == "line"
        else _record(_names("a.example.net"), helo=helo)
    )
    assert _spf(record) == [("helo", helo, "pass")]


def test_senders_are_checked_one_by_one_in_order_and_once() -> None:
    senders = ("example.org", "example.net", "example.org")
    assert _spf(_record(_names("a.example.net"), mail_from=senders)) == [
        ("mailfrom", "example.net", "pass"),
        ("mailfrom", "example.org", "fail"),
    ]


@pytest.mark.parametrize("helo", ["[192.0.2.5]", "[IPv6:2001:db8::6]", "MAILSRV", "192.0.2.5", ""])
def test_a_helo_name_that_has_no_policy_by_its_form_gives_none(helo: str) -> None:
    """RFC 7208 §2.3 and §4.3; whatever a client says, its address is audited."""
    zone = _names("a.example.net")
    record = _record(zone, helo=helo)
    assert _spf(record) == [("helo", helo.lower(), "none")]
    assert list(record["ptr"]["names"]) == ["a.example.net"]
    assert "SPF_NONE" not in {finding["code"] for finding in record["findings"]}
    assert not [question for question in zone.asked if question.rdtype == TXT]


def test_a_null_sender_means_the_helo_identity() -> None:
    """RFC 7208 §2.4; without a HELO name that is the address's own name."""
    zone = _names("mx.example.net")
    given = _record(_names("a.example.net"), helo="mx.example.net", mail_from=("<>",))
    assert _spf(given) == [
        ("helo", "mx.example.net", "pass"),
        ("mailfrom", "mx.example.net", "pass"),
    ]
    assert _spf(_record(zone, mail_from=("<>",))) == [("mailfrom", "mx.example.net", "pass")]


def test_a_sender_without_a_local_part_is_the_postmaster() -> None:
    """RFC 7208 §4.3; and a domain that is none has no policy."""
    senders = ("@example.net", "me@[192.0.2.5]", "me@")
    assert _spf(_record(_names("a.example.net"), mail_from=senders)) == [
        ("mailfrom", "example.net", "pass"),
        ("mailfrom", "", "none"),
        ("mailfrom", "[192.0.2.5]", "none"),
    ]


def test_what_the_line_gives_comes_before_the_settings() -> None:
    zone = _names("a.example.net")
    origin = Origin(mail_from=("me@example.org",))
    record = _record(zone, origin, helo="mx.example.net", mail_from=("example.net",))
    # The HELO name, which the line leaves open, is that of the settings.
    assert _spf(record) == [("helo", "mx.example.net", "pass"), ("mailfrom", "example.org", "fail")]


def test_without_spf_nothing_is_asked_of_policies() -> None:
    zone = _names("a.example.net")
    record = _record(zone, spf=False, mail_from=("example.net",))
    assert record["spf"] == []
    assert not [question for question in zone.asked if question.rdtype == TXT]


def test_a_policy_is_expected_of_a_sender_and_not_of_a_helo_name() -> None:
    zone = _names("a.example.net")
    derived, given = _record(zone), _record(zone, helo="a.example.net")
    assert _spf(derived) == _spf(given) == [("helo", "a.example.net", "none")]
    sender = _record(zone, mail_from=("a.example.net",))
    for record, expected in ((derived, False), (given, False), (sender, True)):
        codes = {finding["code"] for finding in record["findings"]}
        assert ("SPF_NONE" in codes) is expected


def test_an_invalid_line_asks_nothing() -> None:
    target = Target("nonsense", "invalid", 0, Origin("list.txt", 7), "not a target")
    record, rounds = driven(TargetAuditor(Settings(), RuleSet()).audit(target), _names().answer)
    assert rounds == []
    assert (record["kind"], record["error"]) == ("invalid", "list.txt line 7: not a target")


# --- The same bytes


class _Restless(FakeEngine):
    """Answers from zone files, each question after a time of its own, in whatever order."""

    def __init__(self, files: ZoneFileEngine, seed: int) -> None:
        super().__init__(files.answer)
        self._chance = random.Random(seed)

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        super().submit(questions, deliver)
        loop = asyncio.get_running_loop()
        for question in questions:
            seconds = self._chance.choice([0.0, 0.001, 0.01, 0.5, 7.0])
            loop.call_later(seconds, self.reply, [question])


@pytest.fixture(scope="module")
def files() -> ZoneFileEngine:
    engine = ZoneFileEngine(FLEET / "zones")
    asyncio.run(engine.start())
    return engine


def _scan(
    engine: FakeEngine, settings: Settings, limits: Limits, *, size: int, fast_path: bool
) -> tuple[list[bytes], Tally]:
    stream = TargetStream(
        ["not a target", "198.51.100.0/24"],
        [str(FLEET / "targets.txt"), str(FLEET / "targets.csv")],
    )
    stream.check_inputs()
    lines: list[bytes] = []
    tally = Tally()

    async def write(chunk: bytes) -> None:
        lines.extend(chunk.splitlines())

    async def main() -> None:
        lookup = CachingResolver(engine, Cache(size))
        auditor = TargetAuditor(settings, RuleSet())
        await drive(lookup, auditor.look_up_shared())
        pipeline = Pipeline(
            lookup,
            auditor.audit,
            write,
            tally=tally,
            fast_path=auditor.fast_path() if fast_path else None,
            limits=limits,
        )
        await pipeline.audit_blocks(stream.blocks())

    run_virtual(main())
    return lines, tally


_SETTINGS = [Settings(), Settings(helo="mx-1.example.net", mail_from=("example.net",))]


@pytest.fixture(scope="module", params=_SETTINGS, ids=["derived", "given"])
def plain(
    request: pytest.FixtureRequest, files: ZoneFileEngine
) -> tuple[Settings, list[bytes], Tally]:
    """Return what comes out one target at a time, the long way, each answer at once."""
    engine = FakeEngine(files.answer, at_once=True)
    alone = Limits(open_targets=1, backlog=0)
    lines, tally = _scan(engine, request.param, alone, size=100_000, fast_path=False)
    return request.param, lines, tally


@pytest.mark.parametrize(
    ("limits", "size", "fast_path"),
    [
        (Limits(), 100_000, True),
        (Limits(open_targets=300), 10, True),
        (Limits(buffered=0, unwritten=1), 0, False),
        (Limits(open_targets=1, backlog=0, buffered=2000, unwritten=100), 1000, False),
    ],
)
def test_the_same_answers_give_the_same_bytes(
    plain: tuple[Settings, list[bytes], Tally],
    files: ZoneFileEngine,
    limits: Limits,
    size: int,
    *,
    fast_path: bool,
) -> None:
    settings, lines, tally = plain
    engine = _Restless(files, seed=size + limits.open_targets)
    found, counted = _scan(engine, settings, limits, size=size, fast_path=fast_path)
    assert found == lines
    for name in Tally.__slots__:
        assert getattr(counted, name) == getattr(tally, name), name


def test_answers_that_fail_change_their_own_targets_only(
    plain: tuple[Settings, list[bytes], Tally], files: ZoneFileEngine
) -> None:
    settings, lines, _ = plain

    silent = Question(reverse_name("198.51.100.17"), PTR)

    def answer(question: Question) -> Answer:
        return Answer("TIMEOUT") if question == silent else files.answer(question)

    engine = FakeEngine(answer, at_once=True)
    found, _ = _scan(engine, settings, Limits(), size=1000, fast_path=True)
    changed = [new for old, new in zip(lines, found, strict=True) if old != new]
    assert changed
    for line in changed:
        assert b'"198.51.100.17"' in line
        assert b'"status":"TIMEOUT"' in line
        assert b"PTR_UNDETERMINED" in line
