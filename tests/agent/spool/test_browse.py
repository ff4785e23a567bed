"""What lies in a spool folder."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.spool.batch_file import file_name
from agent.spool.browse import list_spool, replay
from tests.agent.fakes import NOW, a_batch, a_spool, put


async def a_folder(path: Path) -> None:
    spool, ledger = a_spool(path)
    spool.open()
    await put(spool, ledger, a_batch(1), a_batch(2), a_batch(3))
    for number in (1, 2):
        entry = spool.index.all.oldest()
        assert entry is not None
        batch = spool.take(entry)
        assert batch is not None
        spool.bury(entry, batch, "INVALID_JSON" if number == 1 else "BODY_TOO_LARGE")
    spool.close()
    (path / "corrupt" / "what").write_bytes(b"???")
    (path / "dead" / "what").write_bytes(b"???")


async def test_every_file_is_listed_with_what_is_in_it(tmp_path: Path) -> None:
    await a_folder(tmp_path)
    listed = list(list_spool(tmp_path))
    found = [(file.folder, file.start, file.items, file.samples, file.code) for file in listed]
    assert found == [
        ("queue", NOW - 10, 3, 6, ""),
        ("dead", NOW - 10, 3, 6, "INVALID_JSON"),
        ("dead", NOW - 10, 3, 6, "BODY_TOO_LARGE"),
        ("dead", None, 0, 0, ""),
        ("corrupt", None, 0, 0, ""),
    ]


async def test_a_damaged_file_is_listed_as_such(tmp_path: Path) -> None:
    await a_folder(tmp_path)
    (tmp_path / "queue" / file_name(a_batch(3))).write_bytes(b"x")
    assert next(list_spool(tmp_path)).code == "damaged"


def test_an_empty_folder_gives_an_empty_list_and_a_missing_one_an_error(tmp_path: Path) -> None:
    assert list(list_spool(tmp_path)) == []
    assert replay(tmp_path) == 0
    with pytest.raises(FileNotFoundError):
        list(list_spool(tmp_path / "none"))
    with pytest.raises(FileNotFoundError):
        replay(tmp_path / "none")


async def test_a_file_that_is_sent_meanwhile_is_left_out(tmp_path: Path) -> None:
    spool, ledger = a_spool(tmp_path)
    spool.open()
    await put(spool, ledger, a_batch(1), a_batch(2))
    spool.close()
    listing = list_spool(tmp_path)
    assert next(listing).name == file_name(a_batch(1))
    (tmp_path / "queue" / file_name(a_batch(2))).unlink()
    assert list(listing) == []


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_a_folder_or_pipe_is_listed_as_damaged_and_never_read(tmp_path: Path, make: Callable[[Path], None]) -> None:
    (tmp_path / "queue").mkdir()
    make(tmp_path / "queue" / file_name(a_batch(1)))
    assert [file.code for file in list_spool(tmp_path)] == ["damaged"]


async def test_dead_letters_are_moved_to_be_fetched(tmp_path: Path) -> None:
    await a_folder(tmp_path)
    assert replay(tmp_path) == 2
    assert sorted(path.name for path in (tmp_path / "replay").iterdir()) == [file_name(a_batch(n)) for n in (1, 2)]
    assert [path.name for path in (tmp_path / "dead").iterdir()] == ["what"]
    assert replay(tmp_path) == 0


async def test_a_replay_shows_what_it_works_on(tmp_path: Path) -> None:
    await a_folder(tmp_path)
    shown: list[Path] = []

    @contextmanager
    def watch(paths: list[Path]) -> Iterator[list[Path]]:
        shown.extend(paths)
        yield paths

    assert replay(tmp_path, watch) == 2
    assert {path.parent for path in shown} == {tmp_path / "dead"}
