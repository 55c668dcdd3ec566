"""Comparing results: whatever the order of lines, and the same whichever way it is done.

Also tests `diff/changes.py`, `pairing.py` and `spool.py`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.effort import examples
from views.making import address, domain, finding, invalid, lines, spf, write

from auditor.errors import InputError, OutputError
from auditor.views.diff.changes import change
from auditor.views.diff.diff import CHANGES, Diff
from auditor.views.diff.spool import ExternalSort, LinePartitions, NumberedLine
from auditor.views.reader.results import Results, parse_record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

#: As much as nothing: every way to do without memory is taken.
NO_ROOM: Final = 1000
MIRROR: Final = {
    "worse": "better",
    "better": "worse",
    "undetermined": "determined",
    "determined": "undetermined",
    "changed": "changed",
    "appeared": "vanished",
    "vanished": "appeared",
}


def _diff(folder: Path, old: Iterable[bytes], new: Iterable[bytes], **room: int) -> Any:
    """Return what changed, how many did not, and whether temporary files were used."""
    paths = []
    for name, some in (("old", old), ("new", new)):
        paths.append(folder / name)
        paths[-1].write_bytes(b"".join(line + b"\n" for line in some))
    with Diff(Results(paths[:1]), Results(paths[1:]), **room) as diff:
        diff.read_both()
        found = list(diff.changes())
        assert [orjson.dumps(answer) for answer in found] == list(diff.lines())
        assert sum(diff.counts.values()) == len(found)
        assert diff.regressions == sum(answer["regression"] for answer in found)
        assert {what: moves.total() for what, moves in diff.moves.items()} == {
            what: diff.counts[what] for what in CHANGES
        }
        return found, diff.unchanged, diff._pairs.spilled


def _plain(old: list[bytes], new: list[bytes]) -> tuple[list[dict[str, Any]], int]:
    """Compare with everything in memory: the n-th of a target with the n-th."""
    then: defaultdict[str, list[tuple[int, dict[str, Any]]]] = defaultdict(list)
    for number, line in enumerate(old):
        record = parse_record(line)
        then[record["target"]].append((number, record))
    found = []
    for line in new:
        record = parse_record(line)
        waiting = then[record["target"]]
        found.append(change(waiting.pop(0)[1] if waiting else None, record))
    rest = sorted(one for waiting in then.values() for one in waiting)
    found += [change(record, None) for _, record in rest]
    changed = [one for one in found if one is not None]
    return changed, len(found) - len(changed)


def _mirrored(changes: list[dict[str, Any]]) -> list[str]:
    """Return the changes as they would be the other way round, in no particular order."""
    turned = []
    for one in changes:
        facts = [{**fact, "old": fact["new"], "new": fact["old"]} for fact in one["facts"]]
        turned.append(
            {
                **one,
                "change": MIRROR[one["change"]],
                "verdict": {"old": one["verdict"]["new"], "new": one["verdict"]["old"]},
                "findings": {
                    "added": one["findings"]["removed"],
                    "removed": one["findings"]["added"],
                },
                "facts": facts,
            }
        )
    return _bare(turned)


def _bare(changes: list[dict[str, Any]]) -> list[str]:
    """Return changes without what belongs to one side only, in no particular order."""
    left_out = {"regression", "labels", "kind"}
    shown = [{key: one[key] for key in one if key not in left_out} for one in changes]
    return sorted(json.dumps(one, sort_keys=True) for one in shown)


@st.composite
def _two(draw: st.DrawFn) -> tuple[list[bytes], list[bytes]]:
    """Return two lists of records which have much in common: shuffled, shortened, added to."""
    old = draw(st.lists(lines, max_size=14))
    new = list(draw(st.one_of(st.just(old), st.permutations(old))))
    if draw(st.booleans()) and new:
        start = draw(st.integers(0, len(new)))
        del new[start : start + draw(st.integers(1, 4))]
    at = draw(st.integers(0, len(new)))
    new[at:at] = draw(st.lists(lines, max_size=4))
    return old, new


_slow = settings(
    max_examples=examples(35), suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@_slow
@given(_two(), st.sampled_from((NO_ROOM, 4000, 1 << 20)))
def test_it_finds_what_a_comparison_in_memory_finds(
    tmp_path: Path, two: tuple[list[bytes], list[bytes]], room: int
) -> None:
    found, unchanged, _ = _diff(tmp_path, *two, room=room)
    assert (found, unchanged) == _plain(*two)


@_slow
@given(_two(), st.sampled_from((NO_ROOM, 1 << 20)))
def test_it_is_the_same_the_other_way_round(
    tmp_path: Path, two: tuple[list[bytes], list[bytes]], room: int
) -> None:
    old, new = two
    there, same, _ = _diff(tmp_path, old, new, room=room)
    back, same_back, _ = _diff(tmp_path, new, old, room=room)
    assert _mirrored(there) == _bare(back)
    assert same == same_back


@_slow
@given(st.lists(lines, max_size=14), st.randoms(use_true_random=False))
def test_a_result_does_not_differ_from_itself(
    tmp_path: Path, old: list[bytes], chance: Any
) -> None:
    assert _diff(tmp_path, old, old) == ([], len(old), False)
    if len({json.loads(line)["target"] for line in old}) == len(old):
        new = chance.sample(old, len(old))
        assert _diff(tmp_path, old, new, room=NO_ROOM)[:2] == ([], len(old))


# --- Ways through the pairing


def _addresses(numbers: Iterable[int], verdict: str = "pass") -> list[bytes]:
    return [orjson.dumps(address(f"10.0.{n >> 8}.{n & 255}", verdict)) for n in numbers]


@pytest.mark.parametrize("gap", [1, 100, 700])
def test_a_gap_needs_no_temporary_file_and_is_caught_up_with(tmp_path: Path, gap: int) -> None:
    whole = _addresses(range(3000))
    holed = whole[:500] + whole[500 + gap :]
    found, unchanged, spilled = _diff(tmp_path, whole, holed, room=1100 * gap + 200_000)
    assert [answer["change"] for answer in found] == ["vanished"] * gap
    assert (unchanged, spilled) == (3000 - gap, False)
    found, unchanged, spilled = _diff(tmp_path, holed, whole, room=1100 * gap + 200_000)
    assert [answer["change"] for answer in found] == ["appeared"] * gap
    assert [answer["target"] for answer in found[:2]] == ["10.0.1.244", "10.0.1.245"][:gap]
    assert (unchanged, spilled) == (3000 - gap, False)


def test_another_order_takes_temporary_files(tmp_path: Path) -> None:
    old = _addresses(range(3000))
    new = [*reversed(old[:-1]), *_addresses([2999], "fail")]
    found, unchanged, spilled = _diff(tmp_path, old, new, room=100_000)
    assert [(answer["target"], answer["change"]) for answer in found] == [("10.0.11.183", "worse")]
    assert (unchanged, spilled) == (2999, True)


def test_many_changes_come_in_the_order_of_new_all_the_same(tmp_path: Path) -> None:
    old, new = _addresses(range(2000)), _addresses(range(1999, 99, -1), "fail")
    found, _, spilled = _diff(tmp_path, old, new, room=50_000)
    assert spilled
    expected = [json.loads(line)["target"] for line in [*new, *old[:100]]]
    assert [answer["target"] for answer in found] == expected


def test_the_nth_of_a_target_is_compared_with_the_nth(tmp_path: Path) -> None:
    twice = [address("192.0.2.1", verdict) for verdict in ("pass", "fail", "warn")]
    old = [orjson.dumps(one) for one in twice]
    found, unchanged, _ = _diff(tmp_path, old, old[1:])
    assert [one["change"] for one in found] == ["worse", "better", "vanished"]
    assert unchanged == 0


def test_a_target_that_fills_the_memory_by_itself_is_compared_nevertheless(
    tmp_path: Path,
) -> None:
    old = [orjson.dumps(address("192.0.2.1", labels={"n": str(n)})) for n in range(50)]
    old.append(orjson.dumps(address("192.0.2.2")))
    new = [old[-1], *old[:-1]]
    assert _diff(tmp_path, old, new, room=NO_ROOM) == ([], 51, True)


def test_one_that_is_empty_is_all_new_or_all_gone(tmp_path: Path) -> None:
    some = _addresses(range(3))
    for old, new, what in (([], some, "appeared"), (some, [], "vanished")):
        found, unchanged, _ = _diff(tmp_path, old, new)
        assert [answer["change"] for answer in found] == [what] * 3
        assert unchanged == 0


# --- What is a change, and of which kind


def _warn(*codes: str) -> dict[str, Any]:
    found = [finding(code, "warning") for code in codes]
    return address("192.0.2.1", "warn", "a.example.net", findings=found)


@pytest.mark.parametrize(
    ("old", "new", "what", "regression"),
    [
        (address("192.0.2.1", "pass"), address("192.0.2.1", "warn"), "worse", True),
        (address("192.0.2.1", "warn"), address("192.0.2.1", "fail"), "worse", True),
        (address("192.0.2.1", "fail"), address("192.0.2.1", "pass"), "better", False),
        (address("192.0.2.1", "pass"), address("192.0.2.1", "unknown"), "undetermined", False),
        (address("192.0.2.1", "fail"), address("192.0.2.1", "unknown"), "undetermined", False),
        (address("192.0.2.1", "unknown"), address("192.0.2.1", "pass"), "determined", False),
        (address("192.0.2.1", "unknown"), address("192.0.2.1", "fail"), "determined", True),
        (_warn("A"), _warn("A", "B"), "worse", True),
        (_warn("A", "B"), _warn("B"), "better", False),
        (_warn("A"), _warn("A", "A"), "worse", True),
        (_warn("A"), _warn("B"), "changed", False),
        (_warn("A"), _warn("A", "SPF_UNDETERMINED"), "changed", False),
        (None, address("192.0.2.1", "fail"), "appeared", False),
        (address("192.0.2.1", "fail"), None, "vanished", False),
    ],
)
def test_worse_is_a_worse_verdict_or_a_new_problem(
    old: dict[str, Any] | None, new: dict[str, Any] | None, what: str, *, regression: bool
) -> None:
    found = change(old, new)
    assert found is not None
    assert (found["change"], found["regression"]) == (what, regression)


def test_a_notice_more_makes_nothing_worse() -> None:
    new = address("192.0.2.1", "pass", findings=[finding("PTR_MULTIPLE", "notice")])
    found = change(address("192.0.2.1", "pass"), new)
    assert found is not None
    assert found["change"] == "changed"
    assert found["findings"] == {
        "added": [finding("PTR_MULTIPLE", "notice")],
        "removed": [],
    }


def test_facts_are_named_with_what_they_are_of() -> None:
    old = address("192.0.2.1", "pass", "a.example.net", facts=[spf("a.example.net", "none")])
    new = address("192.0.2.1", "pass", "a.example.net", facts=[spf("a.example.net", "pass")])
    new["iprev"]["names"][0]["addresses"] = ["192.0.2.1", "192.0.2.2"]
    new["spf"].append(spf("example.net", "fail", "mailfrom"))
    found = change(old, new)
    assert found is not None
    assert found["facts"] == [
        {
            "fact": "iprev.names.addresses",
            "of": ["a.example.net"],
            "old": ["192.0.2.1"],
            "new": ["192.0.2.1", "192.0.2.2"],
        },
        {"fact": "spf.result", "of": ["helo a.example.net"], "old": "none", "new": "pass"},
        {"fact": "spf", "of": ["mailfrom example.net"], "old": None, "new": new["spf"][1]},
    ]


def test_facts_of_mail_hosts_are_found_by_their_names() -> None:
    def host(preference: int, name: str, *confirmed: str) -> dict[str, Any]:
        addresses = [
            {key: value for key, value in address(one, "pass", "x").items() if key in kept}
            | {"address": one}
            for one in confirmed
        ]
        return {"preference": preference, "name": name, "status": "NOERROR", "addresses": addresses}

    kept = {"ptr", "iprev"}
    old, new = domain("example.net"), domain("example.net")
    old["domain"]["mx"]["hosts"] = [host(10, "mx1"), host(20, "mx2", "192.0.2.1")]
    new["domain"]["mx"]["hosts"] = [host(5, "mx2", "192.0.2.1"), host(10, "mx1", "192.0.2.9")]
    new["domain"]["mx"]["hosts"][0]["addresses"][0]["ptr"] = {
        **old["domain"]["mx"]["hosts"][1]["addresses"][0]["ptr"],
        "status": "SERVFAIL",
    }
    found = change(old, new)
    assert found is not None
    assert [(one["fact"], one["of"]) for one in found["facts"]] == [
        ("domain.mx.hosts.addresses", ["mx1", "192.0.2.9"]),
        ("domain.mx.hosts.addresses.ptr.status", ["mx2", "192.0.2.1"]),
        ("domain.mx.hosts.preference", ["mx2"]),
    ]


def test_what_an_earlier_version_did_not_say_is_no_change(tmp_path: Path) -> None:
    new = address("192.0.2.1", "fail")
    old = json.loads(json.dumps(new))
    del old["helo"], old["ptr"]["owner"], old["ptr"]["zone"]
    found, unchanged, _ = _diff(tmp_path, [orjson.dumps(old)], [orjson.dumps(new)])
    assert (found, unchanged) == ([], 1)


def test_the_owner_of_a_ptr_is_a_fact_where_both_results_know_it() -> None:
    old, new = address("192.0.2.1"), address("192.0.2.1")
    new["ptr"]["owner"] = "1.0-63.2.0.192.in-addr.arpa"
    found = change(old, new)
    assert found is not None
    assert [fact["fact"] for fact in found["facts"]] == ["ptr.owner"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (address("192.0.2.1", labels={"a": "b"}), address("192.0.2.1", labels={"a": "c"})),
        (address("192.0.2.1"), {**address("192.0.2.1"), "trace": []}),
        (invalid("spam", "list line 7: bad"), invalid("spam", "list line 8: bad")),
    ],
)
def test_what_comes_from_the_input_or_the_moment_is_no_change(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert change(old, new) is None
    assert _diff(tmp_path, [orjson.dumps(old)], [orjson.dumps(new)]) == ([], 1, False)


def test_the_latest_labels_are_shown() -> None:
    old = address("192.0.2.1", "pass", labels={"customer": "then"})
    new = address("192.0.2.1", "fail", labels={"customer": "now"})
    for found, customer in ((change(old, new), "now"), (change(old, None), "then")):
        assert found is not None
        assert found["labels"] == {"customer": customer}


# --- What goes wrong


@pytest.mark.parametrize("room", [NO_ROOM, 1 << 20])
def test_a_line_that_is_no_record_is_named_in_its_file(tmp_path: Path, room: int) -> None:
    good = [orjson.dumps(address(f"192.0.2.{n}")) for n in range(5)]
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "a.ndjson").write_bytes(b"\n".join(good[:3]) + b"\n")
    (folder / "b.ndjson").write_bytes(good[3] + b"\n{}\n")
    new = tmp_path / "new"
    new.write_bytes(b"\n".join(reversed(good)) + b"\n")
    results = Results([folder]), Results([new])
    for old, latest in (results, results[::-1]):
        said = r'b\.ndjson line 2: no record: "target" is missing'
        with Diff(old, latest, room=room) as diff, pytest.raises(InputError, match=said):
            diff.read_both()


def test_a_full_disk_is_said_to_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """Stands in for a file on a full disk."""

        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            self.write(b"")  # what is left of it

    monkeypatch.setattr("tempfile.TemporaryFile", Full)
    old = _addresses(range(300))
    with pytest.raises(OutputError, match=r"no room for temporary files: No space .* TMPDIR"):
        _diff(tmp_path, old, old[::-1], room=NO_ROOM)


# --- Temporary files


@settings(max_examples=examples(50))
@given(st.lists(st.tuples(st.integers(0, 30), st.binary(max_size=40))), st.integers(1, 2000))
def test_what_is_sorted_on_disk_comes_out_in_order(
    some: list[tuple[int, bytes]], room: int
) -> None:
    entries = [NumberedLine(number, line.replace(b"\n", b" ")) for number, line in some]
    sorter = ExternalSort(room)
    for entry in entries:
        sorter.add_entry(entry)
    assert list(sorter) == [entry.line for entry in sorted(entries)]
    assert list(sorter) == [entry.line for entry in sorted(entries)]
    sorter.close()


def test_heaps_come_back_in_the_order_they_got() -> None:
    heaps = LinePartitions(3)
    entries = [NumberedLine(n, b"x" * (n % 7) * 1000) for n in range(400)]
    for entry in entries:
        heaps.add_entry(entry.number % 3, entry)
    heaps.seal()
    for heap in range(3):
        assert list(heaps.read_entries(heap)) == entries[heap::3]
        assert heaps.entries[heap] == len(entries[heap::3])
        assert heaps.octets[heap] == sum(len(entry.line) for entry in entries[heap::3])
    heaps.close()


def test_a_folder_of_parts_can_be_compared_with_a_file(tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for n in range(3):
        write(folder / f"{n}.ndjson", [address(f"192.0.2.{n}")])
    whole = write(tmp_path / "x", [address(f"192.0.2.{n}") for n in range(4)])
    with Diff(Results([folder]), Results([whole])) as diff:
        diff.read_both()
        assert [one["target"] for one in diff.changes()] == ["192.0.2.3"]
