"""Where lines go: whole lines whatever happens, a file that appears whole, a stream that ends.

Also tests `lock.py`.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from auditor.errors import OutputError, UsageError
from auditor.output.lock import open_alone
from auditor.output.sink import FileSink, StreamSink, partial_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LINES = b'{"target":"192.0.2.1"}\n{"target":"192.0.2.2"}\n{"target":"192.0.2.3"}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "out.ndjson"


def _write(sink: FileSink | StreamSink, *chunks: bytes) -> None:
    async def main() -> None:
        for chunk in chunks:
            await sink.write_lines(chunk)

    asyncio.run(main())


# --- A file


def test_the_file_appears_when_it_is_whole(path: Path) -> None:
    sink = FileSink(path)
    _write(sink, _LINES, _LINES)
    assert not path.exists()
    assert partial_path(path).read_bytes() == _LINES * 2
    sink.finish_output()
    sink.close_output()
    assert path.read_bytes() == _LINES * 2
    assert list(path.parent.iterdir()) == [path]


def test_without_its_end_it_stays_a_partial_one(path: Path) -> None:
    sink = FileSink(path)
    _write(sink, _LINES)
    sink.close_output()
    sink.close_output()  # once more is no matter
    assert [each.name for each in path.parent.iterdir()] == ["out.ndjson.partial"]
    assert partial_path(path).read_bytes() == _LINES


@pytest.mark.parametrize(
    ("partial", "message"),
    [
        (False, "exists already; --overwrite replaces it"),
        (True, "exists already; --resume continues it, --overwrite starts anew"),
    ],
)
def test_what_exists_is_not_touched_unless_told_to(
    path: Path, message: str, *, partial: bool
) -> None:
    there = partial_path(path) if partial else path
    there.write_bytes(b"of an earlier run\n")
    with pytest.raises(UsageError, match=rf"^{there}: {message}$"):
        FileSink(path)
    assert there.read_bytes() == b"of an earlier run\n"
    sink = FileSink(path, overwrite=True)
    if not partial:
        # Until the new one is whole, the old one is what there is.
        assert path.read_bytes() == b"of an earlier run\n"
    _write(sink, _LINES)
    sink.finish_output()
    sink.close_output()
    assert path.read_bytes() == _LINES
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_or_a_device_is_never_replaced(tmp_path: Path, *, overwrite: bool) -> None:
    folder, pipe = tmp_path / "folder", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe)
    for there in (folder, pipe):
        with pytest.raises(UsageError, match="not a regular file"):
            FileSink(there, overwrite=overwrite)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["folder", "pipe"]


@pytest.mark.parametrize(
    ("name", "why"),
    [("no/such/out.ndjson", "No such file or directory"), ("x" * 250, "File name too long")],
)
def test_a_file_that_cannot_be_made_is_one_line_that_says_why(
    tmp_path: Path, name: str, why: str
) -> None:
    with pytest.raises(OutputError, match=f"cannot be created: {why}$"):
        FileSink(tmp_path / name)


def test_files_are_as_public_as_the_umask_says(path: Path) -> None:
    before = os.umask(0o027)
    try:
        FileSink(path).close_output()
    finally:
        os.umask(before)
    assert partial_path(path).stat().st_mode & 0o777 == 0o640


# --- A disk that is full


class _Disk:
    """Stands in for `os.write`: takes so many octets, a few at a time, and then no more."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._real = os.write

    def __call__(self, handle: int, data: memoryview) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self._real(handle, data[: min(7, self._room)])
        self._room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 22, 23, 24, 46, 60, len(_LINES), len(_LINES) + 30])
def test_on_a_full_disk_the_lines_that_are_there_are_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(os, "write", _Disk(room))
    sink = FileSink(path)
    with pytest.raises(
        OutputError,
        match=r"out\.ndjson\.partial: cannot be written: No space left on device; "
        r"the lines in it are complete$",
    ):
        _write(sink, _LINES, _LINES)
    sink.close_output()
    written = partial_path(path).read_bytes()
    assert written == (_LINES * 2)[: len(written)]
    assert written == b"" or written.endswith(b"\n")
    assert room - 23 < len(written) <= room
    assert not path.exists()


def test_after_a_full_disk_it_goes_on_where_the_whole_lines_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = FileSink(path)
    with monkeypatch.context() as full:
        full.setattr(os, "write", _Disk(30))
        with pytest.raises(OutputError):
            _write(sink, _LINES)
    _write(sink, _LINES[23:])
    sink.finish_output()
    sink.close_output()
    assert path.read_bytes() == _LINES


def test_a_disk_that_cannot_even_be_cut_says_how_much_is_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "write", _Disk(50))
    monkeypatch.setattr(os, "ftruncate", broken)
    sink = FileSink(path)
    with pytest.raises(OutputError, match="the lines in its first 46 octets are complete"):
        _write(sink, _LINES)
    sink.close_output()


@contextmanager
def _small_files() -> Iterator[None]:
    """Let no file of this process grow beyond a thousand octets, as the kernel does it.

    Not for longer than a test takes: what pytest says of it may go to a file as well.
    """
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_limit_of_the_kernel_leaves_whole_lines(path: Path) -> None:
    sink = FileSink(path)
    too_large = pytest.raises(OutputError, match="File too large; the lines in it are complete")
    with _small_files(), too_large:
        _write(sink, *[_LINES] * 30)
    sink.close_output()
    written = partial_path(path).read_bytes()
    assert written == (_LINES * 30)[: 43 * 23]  # 989 octets: the next line would not fit


def test_a_file_that_cannot_be_put_in_place_is_kept(path: Path) -> None:
    sink = FileSink(path)
    _write(sink, _LINES)
    path.mkdir()
    (path / "occupied").touch()
    with pytest.raises(OutputError, match=r"out\.ndjson: cannot be put in place: "):
        sink.finish_output()
    sink.close_output()
    assert partial_path(path).read_bytes() == _LINES


# --- Two runs


@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}])
def test_a_second_run_is_refused_as_long_as_the_first_goes_on(
    path: Path, how: dict[str, bool]
) -> None:
    first = FileSink(path)
    _write(first, _LINES)
    with pytest.raises(UsageError, match=r"\.partial: another run is writing to it$"):
        FileSink(path, **how)
    assert partial_path(path).read_bytes() == _LINES
    first.close_output()
    FileSink(path, resume=True).close_output()


def test_a_lock_goes_with_the_process_that_held_it(path: Path) -> None:
    code = (
        "import sys, pathlib; from auditor.output.sink import FileSink; "
        "FileSink(pathlib.Path(sys.argv[1])); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(UsageError, match="another run is writing to it"):
            FileSink(path, resume=True)
        holder.kill()
        holder.wait()
    FileSink(path, resume=True).close_output()


def test_who_waited_for_a_file_that_got_its_last_name_begins_a_new_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FileSink(path)
    _write(first, _LINES)
    lock = fcntl.flock

    def late(handle: int, operation: int) -> None:
        # Between the second run's opening and its locking, the first comes to its end.
        monkeypatch.setattr(fcntl, "flock", lock)
        first.finish_output()
        first.close_output()
        lock(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    second = FileSink(path, overwrite=True)
    assert path.read_bytes() == _LINES
    assert second.size == 0
    second.close_output()


def test_who_looked_before_a_file_got_its_last_name_does_not_replace_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = FileSink(path)
    _write(first, _LINES)

    def late(partial: Path, flags: int) -> int:
        # Between the second run's look and its opening, the first comes to its end.
        first.finish_output()
        first.close_output()
        return open_alone(partial, flags)

    monkeypatch.setattr("auditor.output.sink.open_alone", late)
    with pytest.raises(UsageError, match=r"out\S*: exists already; --overwrite replaces it$"):
        FileSink(path)
    assert path.read_bytes() == _LINES
    assert not partial_path(path).exists()


@pytest.mark.parametrize(("number", "works"), [(errno.ENOLCK, True), (errno.EIO, False)])
def test_a_file_system_without_locks_is_written_to_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, *, works: bool
) -> None:
    def broken(_handle: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", broken)
    if works:
        FileSink(path).close_output()
    else:
        with pytest.raises(OutputError, match="cannot be created: Input/output error"):
            FileSink(path)


# --- A file that is taken away


@pytest.mark.parametrize("how", ["remove", "rename", "replace", "folder"])
@pytest.mark.parametrize("end", ["sync", "finish_output"])
def test_lines_that_go_nowhere_are_noticed(tmp_path: Path, how: str, end: str) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = folder / "out.ndjson"
    sink = FileSink(path)
    _write(sink, _LINES)
    partial = partial_path(path)
    if how == "remove":
        partial.unlink()
    elif how == "rename":
        partial.rename(folder / "mine")
    elif how == "replace":
        partial.rename(folder / "mine")
        partial.touch()
    else:
        shutil.rmtree(folder)
    with pytest.raises(OutputError, match=rf"^{partial}: was removed, renamed or replaced"):
        getattr(sink, end)()
    assert not path.exists()
    sink.discard()  # it is not ours to remove
    assert partial.exists() == (how == "replace")
    sink.close_output()


def test_what_is_discarded_is_gone(path: Path) -> None:
    sink = FileSink(path)
    sink.discard()
    sink.close_output()
    assert list(path.parent.iterdir()) == []
    with pytest.raises(ValueError, match="closed"):
        sink.sync()


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_what_a_full_disk_did_not_take_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    sink = FileSink(tmp_path / f"out{suffix}", frame=20)
    _write(sink, _LINES)
    size = sink.size
    with monkeypatch.context() as full:
        full.setattr(os, "write", _Disk(30))
        with pytest.raises(OutputError, match=r"the lines in it are complete$"):
            _write(sink, _LINES)
    assert sink.size == size + (23 if not suffix else 0)
    assert sink.unwritten == (_LINES[23:] if not suffix else _LINES)
    sink.close_output()


def test_a_disk_that_fails_when_lines_are_kept_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_handle: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink = FileSink(path)
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OutputError, match=r"partial: cannot be written: Input/output error$"):
        sink.sync()
    sink.close_output()


def test_a_file_that_cannot_be_read_back_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: int) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    partial_path(path).write_bytes(_LINES)
    sink = FileSink(path, resume=True)
    monkeypatch.setattr(os, "pread", broken)
    with pytest.raises(OutputError, match=r"partial: cannot be resumed: Input/output error$"):
        sink.recover(lambda _line: True)
    sink.close_output()


def test_something_happens_between_the_disk_and_the_name(path: Path) -> None:
    sink = FileSink(path)
    _write(sink, _LINES)
    seen: list[bool] = []
    sink.finish_output(lambda: seen.append(path.exists()))
    sink.close_output()
    assert (seen, path.exists()) == ([False], True)


# --- A stream


def test_a_stream_gets_every_octet_in_order() -> None:
    reading, writing = os.pipe()
    received = bytearray()

    def read() -> None:
        while data := os.read(reading, 4096):
            received.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    sink = StreamSink(writing)
    _write(sink, *[_LINES * 1000] * 5)
    sink.finish_output()
    sink.close_output()
    os.close(writing)  # it was ours, not the sink's
    reader.join()
    os.close(reading)
    assert bytes(received) == _LINES * 5000


def test_a_reader_that_goes_away_is_said_to_have() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.raises(OutputError, match=r"^standard output: closed by its reader$"):
        _write(StreamSink(writing), _LINES)
    os.close(writing)


def test_any_other_trouble_is_named_with_the_stream() -> None:
    reading, writing = os.pipe()
    with pytest.raises(OutputError, match=r"^the pipe: cannot be written: Bad file descriptor$"):
        _write(StreamSink(reading, "the pipe"), _LINES)
    os.close(reading)
    os.close(writing)


def test_a_stream_that_does_not_block_is_waited_for() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    capacity = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    lines = _LINES * (3 * capacity // len(_LINES))
    received = bytearray()

    async def main() -> None:
        work = asyncio.ensure_future(StreamSink(writing).write_lines(lines))
        while len(received) < len(lines):
            received.extend(await asyncio.to_thread(os.read, reading, capacity))
        await work

    asyncio.run(main())
    for handle in (reading, writing):
        os.close(handle)
    assert bytes(received) == lines


def test_the_loop_goes_on_while_a_stream_is_slow() -> None:
    reading, writing = os.pipe()
    capacity = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    lines = b"x" * (capacity + 5000)

    async def main() -> int:
        work = asyncio.ensure_future(StreamSink(writing).write_lines(lines))
        turns = 0
        while turns < 100:
            await asyncio.sleep(0)
            turns += 1
        assert not work.done()
        taken = 0
        while taken < len(lines):
            taken += len(await asyncio.to_thread(os.read, reading, capacity))
        await work
        return turns

    assert asyncio.run(main()) == 100
    for handle in (reading, writing):
        os.close(handle)


def test_a_reader_that_does_not_read_can_be_given_up() -> None:
    reading, writing = os.pipe()
    capacity = fcntl.fcntl(writing, fcntl.F_GETPIPE_SZ)
    sink = StreamSink(writing, "the pipe")

    async def main() -> None:
        work = asyncio.ensure_future(sink.write_lines(b"x" * (capacity + 5000)))
        full = select.poll()
        full.register(writing, select.POLLOUT)
        while full.poll(0):  # noqa: ASYNC110 - a thread writes
            await asyncio.sleep(0)
        assert not work.done()
        sink.abandon()
        with pytest.raises(OutputError, match=r"^the pipe: its reader has stopped reading$"):
            await work

    asyncio.run(main())
    for handle in (reading, writing):
        os.close(handle)


def test_a_stream_may_be_a_file(path: Path) -> None:
    with path.open("wb") as file:
        _write(StreamSink(file.fileno()), _LINES, _LINES)
    assert path.read_bytes() == _LINES * 2
