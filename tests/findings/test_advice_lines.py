"""Every line to publish is one of a master file: the project's reader and BIND take it."""

from __future__ import annotations

import shutil
import subprocess
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.advised import about, advised
from support.effort import examples
from support.fleet import FLEET, targets
from support.spf_answers import Zone

from auditor.findings.advice import Advice, is_draft
from auditor.findings.rules import RuleSet
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.settings import Settings
from auditor.targets.target import Origin, Target
from auditor.wire.codes import MX, PTR, TXT, A
from auditor.wire.names import normalise, text_of
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_SOA = (
    "@ 300 SOA ns.example. hostmaster.example. 1 7200 900 1209600 300\n"
    "@ 300 NS ns.example.\nns.example. 300 A 192.0.2.1\n"
)


@pytest.fixture(scope="module")
def fleet_advice() -> dict[str, list[tuple[str, str, Advice]]]:
    """Return the advice about the whole example fleet, which has each finding once at least."""
    texts = {path.name[:-5]: path.read_text("utf-8") for path in (FLEET / "zones").glob("*.zone")}
    return advised(ZoneFileEngine.from_texts(texts).answer, *targets())


def _lines(found: Mapping[str, Iterable[tuple[str, str, Advice]]]) -> list[str]:
    given_advice = [advice for some in found.values() for _, _, advice in some]
    return [line for advice in given_advice for line in (*advice.lines, *advice.drafts)]


def test_a_line_has_no_placeholder_and_a_draft_is_a_comment_with_one(
    fleet_advice: dict[str, list[tuple[str, str, Advice]]],
) -> None:
    lines = _lines(fleet_advice)
    assert sum(not is_draft(line) for line in lines) > 40
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert line.startswith("; ") or not is_draft(line)


def test_every_zone_of_the_fleet_loads_with_what_is_published_there(
    fleet_advice: dict[str, list[tuple[str, str, Advice]]], tmp_path: Path
) -> None:
    origins = {path.name[:-5]: path for path in (FLEET / "zones").glob("*.zone")}
    added: dict[str, list[str]] = {origin: [] for origin in origins}
    for line in _lines(fleet_advice):
        owner = line.removeprefix("; ").split()[0].removesuffix(".")
        inside = [each for each in origins if f".{owner}".endswith(f".{each}")]
        origin = max(inside, key=len, default="")
        if not origin:  # of a zone that is not the fleet's, or a draft without an owner
            continue
        added[origin].append(line)
    assert sum(map(bool, added.values())) > 4
    for origin, lines in added.items():
        text = "\n".join((origins[origin].read_text("utf-8"), *lines, ""))
        assert _loads(origin, text, tmp_path) == ""


def _loads(origin: str, text: str, folder: Path) -> str:
    """Return "" if a zone loads, else why not; by BIND where it is installed."""
    ZoneFileEngine.from_texts({origin: text})
    program = shutil.which("named-checkzone", path="/usr/bin:/usr/sbin:/usr/local/bin")
    if program is None:
        return ""
    path = folder / "zone"
    path.write_text(text, "utf-8")
    # -i none: nothing outside of the zone is looked up. -k ignore: specimens of bad host names
    # are in the fleet; that what is published has none is seen above.
    command = [program, "-i", "none", "-k", "ignore", origin, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


_NASTY = (
    b";",
    b"(",
    b")",
    b'"',
    b"@",
    b"$ORIGIN",
    b"\\",
    b".",
    b" ",
    b"\n",
    b"<host>",
    b"*",
    b"\xff",
)
_OCTETS = st.one_of(st.binary(min_size=1, max_size=12), st.sampled_from(_NASTY))
_NAMES = st.builds(text_of, st.lists(_OCTETS, min_size=1, max_size=4))
_POLICIES = st.builds(b"v=spf1 %b".__mod__, st.binary(max_size=700))


def _hostile(name: str, domain: str, policy: bytes) -> list[str]:
    """Return what is to be published about an address and a domain full of odd octets."""
    address = "192.0.2.7"
    zone = Zone(
        {
            reverse_name(address): {PTR: [name, "mail.example.net"]},
            domain: {MX: [(10, name), (20, "192.0.2.7")], TXT: [(policy,)]},
            name: {A: [address], TXT: [(policy,)]},
            "mail.example.net": {TXT: [(policy,)]},
        }
    )
    auditor = TargetAuditor(Settings(mail_from=("mail.example.net",)), RuleSet())
    origin = Origin("test", 1, None, (), {})
    lines = []
    for target in (
        Target(address, "ip", 4, origin, None),
        Target(domain, "domain", 0, origin, None),
    ):
        for _, _, advice in about(auditor, target, zone.answer, name):
            lines += [*advice.lines, *advice.drafts]
    return lines


@settings(max_examples=examples(200))
@given(_NAMES, _NAMES, _POLICIES)
def test_whatever_is_in_the_dns_each_line_is_a_record_or_a_comment(
    name: str, domain: str, policy: bytes
) -> None:
    lines = _hostile(name, domain, policy)
    assert lines
    for line in lines:
        assert line.isascii()
        assert line.isprintable()
        assert line.startswith("; ") or not is_draft(line)
    records = [line for line in lines if not line.startswith(";")]
    loaded = ZoneFileEngine.from_texts({".": "\n".join((_SOA, *lines, ""))}).zones["."].nodes
    assert {normalise(line.split(" IN ")[0]) for line in records} <= loaded.keys()


def test_whatever_is_in_the_dns_bind_takes_each_line(tmp_path: Path) -> None:
    chance = Random(7)
    lines = []
    for _ in range(60):
        labels = [chance.choice(_NASTY) + chance.randbytes(3) for _ in range(4)]
        name, domain = text_of(labels[:2]), text_of(labels[2:])
        lines += _hostile(name, domain, b"v=spf1 " + chance.choice((b"mx", chance.randbytes(300))))
    assert _loads(".", "\n".join((_SOA, *lines, "")), tmp_path) == ""
