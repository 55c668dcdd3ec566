"""An output in parts: what the manifest says meanwhile, which parts are made again."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.crews import Hands, settled

from auditor.errors import InputError, UsageError, WorkersError
from auditor.output.parts import MANIFEST, LocalFolder
from auditor.run.identity import identify
from auditor.run.opening import Done
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.workers.abandon import abandon
from auditor.workers.fleet import Fleet
from auditor.workers.folders import FolderLedger, FolderSink
from auditor.workers.parted import Parted, part_name
from auditor.workers.shards import cut

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.run.identity import Identity
    from auditor.workers.shards import Shard

_SETTINGS = Settings(spf=False)
_BLOCK = "20.30.0.0/19"


def _identity(*targets: str) -> Identity:
    return identify(_SETTINGS, targets or (_BLOCK,), (), ())


def _shards() -> list[Shard]:
    return list(cut(TargetStream([_BLOCK]).entries()))


def _parted(folder: Path, **given: Any) -> Parted:
    return Parted(f"{folder}/", **given)


def _open(parts: Parted, *, overwrite: bool = False, resume: bool = False) -> Any:
    return parts.open(_SETTINGS, _identity(), overwrite=overwrite, resume=resume)


def _manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    return found


async def _run(folder: Path, crew: Hands, work: Any, *, resume: bool = False) -> Fleet:
    """Run a fleet into a folder as the command line does, `work` being what its members do."""
    stream = TargetStream([_BLOCK])
    stream.prepare()
    parts = _parted(folder)
    fleet = Fleet(stream, _SETTINGS, crew, parts=parts)
    earlier = _open(parts, resume=resume)
    sink = FolderSink(parts)
    ledger = FolderLedger(parts, _SETTINGS, _identity(), fleet)
    if earlier is not None:
        ledger.follow(earlier)
    ledger.begin()
    how = "finished"
    try:
        task = asyncio.create_task(fleet.run(sink.write))
        await work(task)
        await task
    except WorkersError as error:
        how = str(error)
    finally:
        ledger.write(ledger.content(how))
        sink.close()
    return fleet


def test_parts_whose_targets_were_given_up_are_there_and_made_again(tmp_path: Path) -> None:
    async def die_thrice(task: asyncio.Task[None]) -> None:
        for name in ("a", "b", "c"):
            while crew[name].numbers != [1]:
                crew[name].finish(*(n for n in crew[name].numbers if n != 1))
                await asyncio.sleep(0)
            crew.come(chr(ord(name) + 1))
            crew.go(name)
        await finish(task)

    async def finish(task: asyncio.Task[None]) -> None:
        while not task.done():
            for hand in crew.hands.values():
                made.update(hand.numbers)
                hand.finish(*hand.numbers)
            await asyncio.sleep(0)

    made: set[int] = set()
    crew = Hands("a")
    asyncio.run(_run(tmp_path, crew, die_thrice))
    said = _manifest(tmp_path)
    assert said["parts"] == [part_name(number) for number in range(4)]
    assert said["records"] == 8192
    assert said["how"].startswith("2,048 targets could not be audited (20.30.8.0 to 20.30.15.255)")
    assert [note.get("failed", "") for note in said["shards"]] == [
        "",
        "3 workers died over it, the last one c was killed",
        "",
        "",
    ]
    made, crew = set(), Hands("a")
    fleet = asyncio.run(_run(tmp_path, crew, finish, resume=True))
    assert made == {1}
    said = _manifest(tmp_path)
    assert (said["how"], said["records"], fleet.tally.records) == ("finished", 8192, 8192)
    assert not any("failed" in note for note in said["shards"])
    assert [session["records"] for session in said["sessions"]] == [8192, 2048]
    parts = _parted(tmp_path)
    assert isinstance(_open(parts, resume=True), Done)


def test_a_part_that_was_given_up_is_listed_as_such_at_once_and_until_it_is_made_again(
    tmp_path: Path,
) -> None:
    parts = _parted(tmp_path, clock=lambda: 0.0)
    _open(parts)
    said = {"how": "running", "fingerprint": _identity().fingerprint}
    parts.content = lambda _how: said
    first, second, *_ = _shards()

    async def main() -> None:
        await parts.put(first, abandon(first, _SETTINGS), "")
        await parts.put(second, abandon(second, _SETTINGS), "3 workers died")

    asyncio.run(main())
    parts.folder.close()
    again = _parted(tmp_path)
    _open(again, resume=True)
    assert again.there(first) is not None
    assert again.there(second) is None
    again.list_parts(said)
    again.folder.close()
    # Whoever comes after one that was killed by now still knows.
    assert [note.get("failed") for note in _manifest(tmp_path)["shards"]] == [
        None,
        "3 workers died",
    ]


def test_parts_of_other_targets_are_not_gone_on_with(tmp_path: Path) -> None:
    parts = _parted(tmp_path)
    _open(parts)
    parts.content = lambda _how: {"how": "running", "fingerprint": _identity().fingerprint}
    first, second, third, _ = _shards()

    async def main() -> None:
        await parts.put(first, abandon(first, _SETTINGS), "")
        await parts.put(second, abandon(second, _SETTINGS), "3 workers died")
        await parts.put(third, abandon(third, _SETTINGS), "")  # so soon, not listed

    asyncio.run(main())
    parts.folder.close()
    _, other, another, _ = cut(TargetStream(["20.40.0.0/19"]).entries())
    again = _parted(tmp_path)
    _open(again, resume=True)
    assert again.there(first) is not None
    with pytest.raises(InputError) as caught:
        again.there(other)
    assert str(caught.value) == (
        "the input is another one than before: 20.40.8.0 to 20.40.15.255 are not the targets of "
        "part-000001.ndjson.zst; --overwrite starts anew"
    )
    assert again.there(another) is None
    again.folder.close()


def test_an_input_that_ends_before_the_parts_do_is_another_one(tmp_path: Path) -> None:
    parts = _parted(tmp_path)
    _open(parts)
    parts.content = lambda _how: {"how": "running", "fingerprint": _identity().fingerprint}
    first, second, *_ = _shards()

    async def main() -> None:
        await parts.put(first, abandon(first, _SETTINGS), "")
        await parts.put(second, abandon(second, _SETTINGS), "")
        parts.list_parts({"how": "running", "fingerprint": _identity().fingerprint})

    asyncio.run(main())
    parts.folder.close()
    again = _parted(tmp_path)
    _open(again, resume=True)
    again.there(first)
    said = "there are 2,048 more records than targets; --overwrite starts anew"
    with pytest.raises(InputError, match=said):
        FolderSink(again).finish(lambda: pytest.fail("it is not finished"))
    again.there(second)
    again.finish()
    again.folder.close()


def test_the_manifest_follows_the_parts_at_a_distance(tmp_path: Path) -> None:
    now = 0.0
    parts = _parted(tmp_path, clock=lambda: now)
    assert _open(parts) is None
    parts.content = lambda how: {"how": how, "fingerprint": _identity().fingerprint}

    async def put(number: int) -> list[str]:
        shard = _shards()[number]
        await parts.put(shard, abandon(shard, _SETTINGS), "")
        listed: list[str] = _manifest(tmp_path)["parts"]
        return listed

    async def main() -> None:
        nonlocal now
        assert await put(1) == [part_name(1)]
        # The second one so soon is not listed yet; in the end all are, in order.
        assert await put(0) == [part_name(1)]
        now = 6.0
        assert await put(2) == [part_name(0), part_name(1), part_name(2)]

    asyncio.run(main())
    parts.folder.close()


def test_parts_that_no_manifest_lists_are_counted(tmp_path: Path) -> None:
    parts = _parted(tmp_path)
    _open(parts)
    parts.list_parts({"how": "running", "fingerprint": _identity().fingerprint})
    shard, other, *_ = _shards()
    result = abandon(shard, _SETTINGS)
    asyncio.run(parts.put(shard, result, ""))
    # Whole, and not of this shard's size.
    parts.folder.put(part_name(1), b"".join(abandon(shard, _SETTINGS).frames[:0]))
    parts.folder.close()
    again = _parted(tmp_path)
    assert _open(again, resume=True)["parts"] == []
    tally = again.there(shard)
    assert tally is not None
    assert (tally.records, tally.verdicts) == (result.tally.records, result.tally.verdicts)
    assert again.there(other) is None
    assert again.found == shard.size
    again.folder.close()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b'{"parts": [], "shards": [{}]}',
        b'{"parts": ["x"], "shards": [{"part": "x"}]}',
        b'{"parts": ["part-000000.ndjson.zst"], "shards": [{"part": "part-000000.ndjson.zst"}]}',
    ],
)
def test_a_damaged_manifest_is_no_ground_to_go_on(tmp_path: Path, content: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        _open(_parted(tmp_path), resume=True)
    assert str(caught.value) == (
        f"{tmp_path}/: cannot be gone on with: its manifest.json is not there or damaged; "
        "--overwrite starts anew"
    )
    # Nobody holds the folder any more.
    LocalFolder(tmp_path).close()


def test_overwrite_takes_away_parts_and_nothing_else(tmp_path: Path) -> None:
    for name in (MANIFEST, part_name(0), part_name(7), "notes.txt", "part-x.ndjson.zst"):
        (tmp_path / name).write_bytes(b"{}")
    parts = _parted(tmp_path)
    assert _open(parts, overwrite=True) is None
    assert sorted(parts.folder.names()) == ["notes.txt", "part-x.ndjson.zst"]
    parts.folder.close()


def test_a_manifest_of_hostile_names_reads_nothing_outside_of_its_folder(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"{}")
    folder = tmp_path / "out"
    folder.mkdir()
    note = {"part": "../outside", "records": 1}
    (folder / MANIFEST).write_bytes(orjson.dumps({"parts": ["../outside"], "shards": [note]}))
    with pytest.raises(UsageError, match="damaged"):
        _open(_parted(folder), resume=True)
    assert outside.exists()


def test_a_run_waits_for_the_disk_and_not_the_disk_for_the_run(tmp_path: Path) -> None:
    async def slowly(task: asyncio.Task[None]) -> None:
        await settled(lambda: len(crew["a"].orders) == 4)
        crew["a"].finish(3, 0)
        await settled((tmp_path / part_name(0)).exists)
        assert not (tmp_path / part_name(3)).exists()
        crew["a"].finish(1, 2)
        await task

    crew = Hands("a")
    asyncio.run(_run(tmp_path, crew, slowly))
    assert _manifest(tmp_path)["records"] == 8192
