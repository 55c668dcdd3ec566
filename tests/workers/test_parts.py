"""An output in parts: what the manifest says meanwhile, which parts are made again."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import zstandard
from support.worker_pools import Hands, settled

from auditor.errors import InputError, UsageError, WorkersError
from auditor.output.folder import MANIFEST, LocalFolder
from auditor.output.tally import Tally
from auditor.run.existing_output import FinishedOutput
from auditor.run.identity import identify
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.workers.coordinator import Coordinator
from auditor.workers.given_up import give_up_shard
from auditor.workers.messages import Result
from auditor.workers.parts import FolderManifestWriter, PartedOutput, part_name
from auditor.workers.shards import cut_shards, unpack

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from auditor.run.identity import Identity
    from auditor.workers.messages import Command, Quota
    from auditor.workers.shards import Shard

pytestmark = pytest.mark.usefixtures("closed_ledgers")

_SETTINGS = Settings(spf=False)
_BLOCK = "20.30.0.0/19"


def _identity(*targets: str) -> Identity:
    return identify(_SETTINGS, targets or (_BLOCK,), (), ())


def _shards() -> list[Shard]:
    return list(cut_shards(TargetStream([_BLOCK]).entries()))


def _parted(folder: Path, **given: Any) -> PartedOutput:
    return PartedOutput(f"{folder}/", **given)


def _open(parts: PartedOutput, *, overwrite: bool = False, resume: bool = False) -> Any:
    return parts.open_folder(_SETTINGS, _identity(), overwrite=overwrite, resume=resume)


def _manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text("utf-8"))
    return found


def _audited(shard: Shard, count: int, skip: int = 0) -> Result:
    """Return what comes of the first `count` targets of a shard but the first `skip`."""
    targets = [target for block in unpack(shard, skip) for target in block]
    if count == skip:
        return Result(shard.number, (), Tally(), "", 0, {})
    (piece,) = cut_shards(targets[: count - skip])
    return give_up_shard(piece, _SETTINGS)


class Held(Hands):
    """A pool that gives back only what the test says."""

    async def send_command(
        self, names: Collection[str], run: str, command: Command | Quota
    ) -> None:
        """Take note of it."""
        del run
        self.told.append((set(names), command))


async def _write_nothing(lines: bytes) -> None:
    raise TypeError(f"{len(lines)} octets for a folder of parts")


async def _run(folder: Path, pool: Hands, audit_shard: Any, *, resume: bool = False) -> Coordinator:
    """Run a scan into a folder as the command line does; `audit_shard`: what its workers do."""
    stream = TargetStream([_BLOCK])
    stream.check_inputs()
    parts = _parted(folder)
    coordinator = Coordinator(stream, _SETTINGS, pool, parts=parts)
    earlier = _open(parts, resume=resume)
    ledger = FolderManifestWriter(parts, _SETTINGS, _identity(), coordinator)
    if earlier is not None:
        ledger.continue_from(earlier)
    ledger.start_session()
    how = "finished"
    try:
        task = asyncio.create_task(coordinator.audit_targets(_write_nothing))
        await audit_shard(task)
        await task
    except WorkersError as error:
        how = str(error)
    except asyncio.CancelledError:
        how = "interrupted"
    finally:
        ledger.write_manifest(ledger.content(how))
        parts.close_output()
    return coordinator


def test_parts_whose_targets_were_given_up_are_there_and_made_again(tmp_path: Path) -> None:
    async def die_thrice(task: asyncio.Task[None]) -> None:
        for name in ("a", "b", "c"):
            while pool[name].numbers != [1]:
                pool[name].finish(*(n for n in pool[name].numbers if n != 1))
                await asyncio.sleep(0)
            pool.come(chr(ord(name) + 1))
            pool.go(name)
        await finish(task)

    async def finish(task: asyncio.Task[None]) -> None:
        while not task.done():
            for hand in pool.hands.values():
                made.update(hand.numbers)
                hand.finish(*hand.numbers)
            await asyncio.sleep(0)

    made: set[int] = set()
    pool = Hands("a")
    asyncio.run(_run(tmp_path, pool, die_thrice))
    content = _manifest(tmp_path)
    assert content["parts"] == [part_name(number) for number in range(4)]
    assert content["records"] == 8192
    assert content["how"].startswith(
        "2,048 targets could not be audited (20.30.8.0 to 20.30.15.255)"
    )
    assert [note.get("failed", "") for note in content["shards"]] == [
        "",
        "3 workers died over it, the last one c was killed",
        "",
        "",
    ]
    made, pool = set(), Hands("a")
    coordinator = asyncio.run(_run(tmp_path, pool, finish, resume=True))
    assert made == {1}
    content = _manifest(tmp_path)
    assert (content["how"], content["records"], coordinator.tally.records) == (
        "finished",
        8192,
        8192,
    )
    assert not any("failed" in note for note in content["shards"])
    assert [session["records"] for session in content["sessions"]] == [8192, 2048]
    parts = _parted(tmp_path)
    assert isinstance(_open(parts, resume=True), FinishedOutput)


def test_a_part_that_was_given_up_is_listed_as_such_at_once_and_until_it_is_made_again(
    tmp_path: Path,
) -> None:
    parts = _parted(tmp_path, clock=lambda: 0.0)
    _open(parts)
    said = {"how": "running", "fingerprint": _identity().fingerprint}
    parts.content = lambda _how: said
    first, second, *_ = _shards()

    async def main() -> None:
        await parts.put_part(first, give_up_shard(first, _SETTINGS), "")
        await parts.put_part(second, give_up_shard(second, _SETTINGS), "3 workers died")

    asyncio.run(main())
    parts.folder.close_folder()
    again = _parted(tmp_path)
    _open(again, resume=True)
    assert again.existing_part(first) is not None
    assert again.existing_part(second) is None
    again.write_manifest(said)
    again.folder.close_folder()
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
        await parts.put_part(first, give_up_shard(first, _SETTINGS), "")
        await parts.put_part(second, give_up_shard(second, _SETTINGS), "3 workers died")
        await parts.put_part(third, give_up_shard(third, _SETTINGS), "")  # so soon, not listed

    asyncio.run(main())
    parts.folder.close_folder()
    _, other, another, _ = cut_shards(TargetStream(["20.40.0.0/19"]).entries())
    again = _parted(tmp_path)
    _open(again, resume=True)
    assert again.existing_part(first) is not None
    with pytest.raises(InputError) as caught:
        again.existing_part(other)
    assert str(caught.value) == (
        "the input differs from before: 20.40.8.0 to 20.40.15.255 are not the targets of "
        "part-000001.ndjson.zst; --overwrite starts anew"
    )
    assert again.existing_part(another) is None
    again.folder.close_folder()


def test_an_input_that_ends_before_the_parts_do_is_another_one(tmp_path: Path) -> None:
    parts = _parted(tmp_path)
    _open(parts)
    parts.content = lambda _how: {"how": "running", "fingerprint": _identity().fingerprint}
    first, second, *_ = _shards()

    async def main() -> None:
        await parts.put_part(first, give_up_shard(first, _SETTINGS), "")
        await parts.put_part(second, give_up_shard(second, _SETTINGS), "")
        parts.write_manifest({"how": "running", "fingerprint": _identity().fingerprint})

    asyncio.run(main())
    parts.folder.close_folder()
    again = _parted(tmp_path)
    _open(again, resume=True)
    again.existing_part(first)
    message = "there are 2,048 more records than targets; --overwrite starts anew"
    with pytest.raises(InputError, match=message):
        again.finish_output(lambda: pytest.fail("it is not finished"))
    again.existing_part(second)
    ends: list[str] = []
    again.finish_output(lambda: ends.append("finished"))
    assert ends == ["finished"]
    again.close_output()


def test_the_manifest_follows_the_parts_at_a_distance(tmp_path: Path) -> None:
    now = 0.0
    parts = _parted(tmp_path, clock=lambda: now)
    assert _open(parts) is None
    parts.content = lambda how: {"how": how, "fingerprint": _identity().fingerprint}

    async def put_part(number: int) -> list[str]:
        shard = _shards()[number]
        await parts.put_part(shard, give_up_shard(shard, _SETTINGS), "")
        listed: list[str] = _manifest(tmp_path)["parts"]
        return listed

    async def main() -> None:
        nonlocal now
        assert await put_part(1) == [part_name(1)]
        # The second one so soon is not listed yet; in the end all are, in order.
        assert await put_part(0) == [part_name(1)]
        now = 6.0
        assert await put_part(2) == [part_name(0), part_name(1), part_name(2)]

    asyncio.run(main())
    parts.folder.close_folder()


def test_parts_that_no_manifest_lists_are_counted(tmp_path: Path) -> None:
    parts = _parted(tmp_path)
    _open(parts)
    parts.write_manifest({"how": "running", "fingerprint": _identity().fingerprint})
    shard, other, *_ = _shards()
    result = give_up_shard(shard, _SETTINGS)
    asyncio.run(parts.put_part(shard, result, ""))
    # Whole, and not of this shard's size.
    parts.folder.write_file(part_name(1), b"".join(give_up_shard(shard, _SETTINGS).frames[:0]))
    parts.folder.close_folder()
    again = _parted(tmp_path)
    assert _open(again, resume=True)["parts"] == []
    tally = again.existing_part(shard)
    assert tally is not None
    assert (tally.records, tally.verdicts) == (result.tally.records, result.tally.verdicts)
    assert again.existing_part(other) is None
    assert again.found == shard.size
    again.folder.close_folder()


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
        f"{tmp_path}/: cannot be resumed: its manifest.json is missing or damaged; "
        "--overwrite starts anew"
    )
    # Nobody holds the folder any more.
    LocalFolder(tmp_path).close_folder()


def test_overwrite_takes_away_parts_and_nothing_else(tmp_path: Path) -> None:
    for name in (MANIFEST, part_name(0), part_name(7), "notes.txt", "part-x.ndjson.zst"):
        (tmp_path / name).write_bytes(b"{}")
    parts = _parted(tmp_path)
    assert _open(parts, overwrite=True) is None
    assert sorted(parts.folder.file_names()) == ["notes.txt", "part-x.ndjson.zst"]
    parts.folder.close_folder()


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
        await settled(lambda: len(pool["a"].tasks) == 4)
        pool["a"].finish(3, 0)
        await settled((tmp_path / part_name(0)).exists)
        assert not (tmp_path / part_name(3)).exists()
        pool["a"].finish(1, 2)
        await task

    pool = Hands("a")
    asyncio.run(_run(tmp_path, pool, slowly))
    assert _manifest(tmp_path)["records"] == 8192


def _lines(part: Path) -> bytes:
    with zstandard.open(part, "rb") as file:
        lines: bytes = file.read()
    return lines


def test_a_part_that_was_cut_off_is_gone_on_with_behind_its_last_record(tmp_path: Path) -> None:
    skipped: dict[int, list[int]] = {}

    async def finish(task: asyncio.Task[None], counts: dict[int, int] | None = None) -> None:
        """Audit so many targets of each shard, all of them without `counts`."""
        while not task.done():
            for given in list(pool["a"].tasks):
                shard, skip = given.shard, given.skip
                skipped.setdefault(shard.number, []).append(skip)
                count = shard.size if counts is None else counts[shard.number]
                pool["a"].finish(shard.number, result=_audited(shard, count, skip))
            await asyncio.sleep(0)

    async def cut_off(task: asyncio.Task[None], counts: dict[int, int]) -> None:
        await settled(lambda: len(pool["a"].numbers) == len(counts))
        task.cancel()
        await settled(lambda: ({"a"}, "drop") in pool.told)
        with suppress(asyncio.CancelledError):
            await finish(task, counts)

    pool = Held("a")
    asyncio.run(_run(tmp_path / "whole", pool, finish))
    folder = tmp_path / "parts"
    rounds = [
        ({0: 500, 1: 0, 2: 2048, 3: 1}, [500, 2048, 1]),
        ({0: 700, 1: 20, 3: 1}, [700, 20, 2048, 1]),
    ]
    skipped.clear()
    for number, (counts, expected) in enumerate(rounds):
        pool = Held("a")
        audit_shard = partial(cut_off, counts=counts)
        coordinator = asyncio.run(_run(folder, pool, audit_shard, resume=number > 0))
        content = _manifest(folder)
        assert [note["records"] for note in content["shards"]] == expected
        assert coordinator.tally.records == content["records"] == sum(expected)
    pool = Held("a")
    coordinator = asyncio.run(_run(folder, pool, finish, resume=True))
    assert skipped == {0: [0, 500, 700], 1: [0, 0, 20], 2: [0], 3: [0, 1, 1]}
    assert _manifest(folder)["records"] == coordinator.tally.records == 8192
    for name in _manifest(folder)["parts"]:
        assert _lines(folder / name) == _lines(tmp_path / "whole" / name)


def test_a_cut_off_part_that_is_damaged_is_made_anew(tmp_path: Path) -> None:
    first, *_ = _shards()
    parts = _parted(tmp_path)
    _open(parts)
    asyncio.run(parts.put_part(first, _audited(first, 300)))
    parts.write_manifest({"how": "interrupted", "fingerprint": _identity().fingerprint})
    parts.folder.close_folder()
    part = tmp_path / part_name(0)
    part.write_bytes(part.read_bytes()[:-5])
    again = _parted(tmp_path)
    _open(again, resume=True)
    assert again.existing_part(first) is None
    again.folder.close_folder()


def test_parts_are_cut_as_they_were_whatever_the_rate_is_now(tmp_path: Path) -> None:
    slow = replace(_SETTINGS, qps=30.0)
    parts = _parted(tmp_path)
    parts.open_folder(slow, _identity(), overwrite=False, resume=False)
    assert parts.pace == 10.0
    parts.write_manifest({"how": "running", "fingerprint": _identity().fingerprint})
    parts.folder.close_folder()
    again = _parted(tmp_path)
    _open(again, resume=True)
    assert again.pace == 10.0
    again.folder.close_folder()
