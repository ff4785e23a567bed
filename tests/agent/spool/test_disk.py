"""Durable files and the lock."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from agent.spool.disk import Disk, FolderInUseError, lock_folder
from tests.agent.fakes import FULL, Crash, FailingDisk


def test_saved_data_is_there_for_the_owner_alone(tmp_path: Path) -> None:
    Disk().save(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_short_writes_are_continued(tmp_path: Path) -> None:
    Disk(write=lambda descriptor, data: os.write(descriptor, data[:1])).save(tmp_path / "a", b"bytes")
    assert (tmp_path / "a").read_bytes() == b"bytes"


def test_a_write_of_nothing_is_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        Disk(write=lambda descriptor, data: 0).save(tmp_path / "a", b"bytes")


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_failure_leaves_the_old_file_and_no_temporary_one(tmp_path: Path, call: str) -> None:
    Disk().save(tmp_path / "a", b"old")
    failing = FailingDisk()
    failing.fault, failing.fail_only = FULL, call
    with pytest.raises(OSError, match="No space left"):
        failing.disk.save(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("crash_at", range(4))
def test_a_crash_at_any_call_leaves_old_or_new_never_a_part(tmp_path: Path, crash_at: int, after: bool) -> None:
    Disk().save(tmp_path / "a", b"old")
    with pytest.raises(Crash):
        FailingDisk(crash_at, after).disk.save(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() in {b"old", b"new"}


def test_the_file_is_synced_before_it_is_renamed_and_the_folder_after(tmp_path: Path) -> None:
    calls: list[str] = []

    def rename(source: Path, target: Path) -> None:
        calls.append("rename")
        source.replace(target)

    disk = Disk(
        fsync=lambda descriptor: calls.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"),
        rename=rename,
    )
    disk.save(tmp_path / "a", b"new")
    assert calls == ["file", "rename", "folder"]


def test_a_moved_file_is_in_one_folder(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    Disk().save(tmp_path / "a", b"x")
    Disk().move(tmp_path / "a", tmp_path / "other" / "b")
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "other" / "b").read_bytes() == b"x"


def test_removing_what_is_gone_is_no_fault(tmp_path: Path) -> None:
    Disk().remove(tmp_path / "a")


def test_a_second_lock_is_refused_and_names_the_folder(tmp_path: Path) -> None:
    held = lock_folder(tmp_path)
    with pytest.raises(FolderInUseError, match=str(tmp_path)):
        lock_folder(tmp_path)
    os.close(held)
    os.close(lock_folder(tmp_path))


def test_the_lock_of_a_dead_process_is_free(tmp_path: Path) -> None:
    code = "import sys, pathlib, agent.spool.disk; agent.spool.disk.lock_folder(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    os.close(lock_folder(tmp_path))
