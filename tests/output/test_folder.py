"""Folders for parts: whole files or none, one owner, any file system that fsspec knows."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Any

import pytest

from auditor.errors import OutputError, UsageError
from auditor.output.folder import LocalFolder, RemoteFolder, is_folder, open_folder

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.output.folder import Folder

fsspec = pytest.importorskip("fsspec", reason="pip install 'auditor[cluster]'")


class _Renaming(fsspec.get_filesystem_class("memory")):  # type: ignore[misc]
    """A file system whose files can be seen before they are whole, as most are."""

    protocol = "renaming"
    moved: list[tuple[str, str]] = []  # noqa: RUF012 - of the class, as fsspec's instances come and go
    made: list[str] = []  # noqa: RUF012

    def mv(self, path1: str, path2: str, **more: Any) -> None:
        self.moved.append((path1.rpartition("/")[2], path2.rpartition("/")[2]))
        super().mv(path1, path2, **more)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:  # noqa: FBT001, FBT002 - fsspec's
        self.made.append(path)
        super().makedirs(path, exist_ok)


@pytest.fixture
def renaming(memory_files: Any) -> None:
    del memory_files  # emptied behind the test
    fsspec.register_implementation("renaming", _Renaming, clobber=True)
    _Renaming.moved.clear()
    _Renaming.made.clear()


@pytest.mark.parametrize(
    ("output", "folder"),
    [
        ("out/", True),
        ("/", True),
        ("s3://bucket/x", True),
        ("file:///tmp/x", True),
        ("out.ndjson", False),
        ("out", False),
        ("-", False),
    ],
)
def test_a_slash_at_the_end_or_a_url_asks_for_a_folder(
    output: str,
    folder: bool,  # noqa: FBT001 - a parameter
) -> None:
    assert is_folder(output) == folder


def _keeps_files(folder: Folder) -> None:
    assert not set(folder.file_names())
    folder.write_file("b", b"1")
    folder.write_file("a", b"2")
    folder.write_file("a", b"3")
    assert set(folder.file_names()) == {"a", "b"}
    assert (folder.read_file("a"), folder.read_file("b")) == (b"3", b"1")
    folder.remove_file("b")
    assert set(folder.file_names()) == {"a"}
    with pytest.raises(OutputError, match="b: cannot be read: "):
        folder.read_file("b")
    with pytest.raises(OutputError, match="b: cannot be removed: "):
        folder.remove_file("b")
    folder.close_folder()


def test_a_folder_on_the_disk_is_made_and_keeps_files(tmp_path: Path) -> None:
    _keeps_files(open_folder(f"{tmp_path}/new/folder/"))
    _keeps_files(open_folder(f"file://{tmp_path}/other"))
    assert (tmp_path / "new" / "folder" / "a").read_bytes() == b"3"
    assert (tmp_path / "other" / "a").read_bytes() == b"3"


def test_a_folder_behind_a_url_keeps_files(memory_files: Any) -> None:
    _keeps_files(open_folder("memory://bucket/run/"))
    assert memory_files.cat_file("/bucket/run/a") == b"3"


@pytest.mark.usefixtures("renaming")
def test_where_files_are_seen_before_they_are_whole_they_are_renamed() -> None:
    _keeps_files(open_folder("renaming://host/run"))
    assert _Renaming.moved == [(".b.new", "b"), (".a.new", "a"), (".a.new", "a")]
    assert len(_Renaming.made) == 1


@pytest.mark.usefixtures("renaming")
def test_who_only_reads_makes_no_folder() -> None:
    assert not set(RemoteFolder("renaming://host/none", make=False).file_names())
    assert not _Renaming.made


def test_a_folder_on_the_disk_has_one_owner(tmp_path: Path) -> None:
    first = LocalFolder(tmp_path)
    with pytest.raises(UsageError) as caught:
        LocalFolder(tmp_path)
    assert str(caught.value) == f"{tmp_path}/: another run is writing to it"
    first.close_folder()
    LocalFolder(tmp_path).close_folder()


def test_what_cannot_be_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"file/: cannot be created: File exists"):
        LocalFolder(tmp_path / "file")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = LocalFolder(tmp_path)
    folder.write_file("a", b"old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OutputError) as caught:
            folder.write_file("a", b"new")
    assert str(caught.value) == f"{tmp_path}/a: cannot be written: No space left on device"
    assert {name: folder.read_file(name) for name in folder.file_names()} == {"a": b"old"}
    folder.close_folder()


def test_what_a_killed_process_has_left_is_not_in_the_way(tmp_path: Path) -> None:
    (tmp_path / ".a.new").write_bytes(b"half")
    folder = LocalFolder(tmp_path)
    folder.write_file("a", b"whole")
    assert set(folder.file_names()) == {"a"}
    folder.close_folder()


def test_an_object_store_that_refuses_is_an_error_of_one_line(
    memory_files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = open_folder("memory://bucket/run")

    def refuse(*_: object) -> None:
        raise RuntimeError("AccessDenied:\n  no key\n" + "x" * 1000)

    monkeypatch.setattr(type(memory_files), "pipe_file", refuse)
    with pytest.raises(OutputError) as caught:
        folder.write_file("a", b"1")
    message = str(caught.value)
    assert message.startswith("memory://bucket/run/a: cannot be written: AccessDenied: no key x")
    assert "\n" not in message
    assert len(message) < 400
