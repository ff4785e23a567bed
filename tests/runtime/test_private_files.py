"""runtime/private_files.py: what holds data is its owner's alone, and no link leads a write elsewhere."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.private_files import make_private_file, make_private_folder, open_new


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("before", "after"), [(None, 0o700), (0o755, 0o700), (0o777, 0o700), (0o1777, 0o1777)])
def test_a_folder_becomes_private_also_where_it_existed(tmp_path: Path, before: int | None, after: int) -> None:
    path = tmp_path / "data"
    if before is not None:
        path.mkdir()
        path.chmod(before)
    make_private_folder(path)
    assert mode(path) == after


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o666, 0o600), (0o600, 0o600), (0o400, 0o400)])
def test_a_file_becomes_private(tmp_path: Path, before: int, after: int) -> None:
    path = tmp_path / "file"
    path.write_text("data")
    path.chmod(before)
    make_private_file(path)
    assert mode(path) == after


def test_a_file_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    make_private_file(tmp_path / "none")


def test_the_target_of_a_link_keeps_its_mode(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("of somebody")
    target.chmod(0o644)
    link.symlink_to(target)
    make_private_file(link)
    assert mode(target) == 0o644


PLANTED: list[Callable[[Path, Path], None]] = [
    lambda path, elsewhere: path.symlink_to(elsewhere),
    lambda path, elsewhere: path.hardlink_to(elsewhere),
    lambda path, elsewhere: os.mkfifo(path),
    lambda path, elsewhere: path.symlink_to(path.parent / "nothing"),
]


@pytest.mark.parametrize("plant", PLANTED, ids=["link", "hard link", "pipe", "dangling link"])
def test_a_new_file_replaces_a_link_and_never_follows_it(tmp_path: Path, plant: Callable[[Path, Path], None]) -> None:
    elsewhere, path = tmp_path / "elsewhere", tmp_path / "file.tmp"
    elsewhere.write_text("precious")
    plant(path, elsewhere)
    with os.fdopen(open_new(path), "w") as file:
        file.write("ours")
    assert elsewhere.read_text() == "precious"
    assert path.read_text() == "ours"
    assert mode(path) == 0o600
    assert not (tmp_path / "nothing").exists()
