"""Gauges over restarts."""

import errno
import os
from decimal import Decimal
from pathlib import Path

import pytest

from agent.spool.checksummed import seal
from agent.spool.disk import Disk
from agent.spool.gauge_file import GaugeFile, UnreadableGaugesError
from tests.agent.fakes import FULL, FailingDisk

GAUGES = {"queue.size": Decimal("42.5"), "temperature": Decimal("-0.1")}
TEXTS = {"queue.size": "42.5", "temperature": "-0.1"}


def test_gauges_come_back(tmp_path: Path) -> None:
    path = tmp_path / "gauges.json"
    GaugeFile(path, Disk()).save(GAUGES)
    assert GaugeFile(path, Disk()).load() == TEXTS


def test_as_many_as_there_may_be_come_back_in_order(tmp_path: Path) -> None:
    many = {f"g{number}": Decimal(number) / 7 for number in range(2_500)} | {"tiny": Decimal("1E-7")}
    GaugeFile(tmp_path / "gauges.json", Disk()).save(many)
    loaded = GaugeFile(tmp_path / "gauges.json", Disk()).load()
    assert list(loaded) == list(many)
    assert {name: Decimal(text) for name, text in loaded.items()} == many
    assert loaded["tiny"] == "0.0000001"


def test_there_are_none_at_first(tmp_path: Path) -> None:
    assert GaugeFile(tmp_path / "gauges.json", Disk()).load() == {}


def test_unchanged_gauges_are_not_written_again(tmp_path: Path) -> None:
    failing = FailingDisk()
    file = GaugeFile(tmp_path / "gauges.json", failing.disk)
    file.save(GAUGES)
    calls = failing.calls
    file.save(dict(GAUGES))
    assert failing.calls == calls
    file.save(GAUGES | {"queue.size": Decimal(43)})
    assert failing.calls > calls


def test_what_could_not_be_written_is_written_the_next_time(tmp_path: Path) -> None:
    failing = FailingDisk()
    file = GaugeFile(tmp_path / "gauges.json", failing.disk)
    failing.fault = FULL
    with pytest.raises(OSError, match="No space"):
        file.save(GAUGES)
    failing.fault = None
    file.save(GAUGES)
    assert GaugeFile(tmp_path / "gauges.json", Disk()).load() == TEXTS


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        seal("gauges", b"{}")[:-1],
        seal("batch", b"{}"),
        seal("gauges", b"nonsense"),
        seal("gauges", b"[]"),
        seal("gauges", b'{"a": 1}'),
    ],
)
def test_a_bad_file_is_refused_and_then_replaced(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "gauges.json"
    path.write_bytes(data)
    file = GaugeFile(path, Disk())
    with pytest.raises(ValueError):
        file.load()
    file.save(GAUGES)
    assert GaugeFile(path, Disk()).load() == TEXTS


def test_a_folder_in_its_place_is_bad(tmp_path: Path) -> None:
    (tmp_path / "gauges.json").mkdir()
    with pytest.raises(ValueError, match="no file"):
        GaugeFile(tmp_path / "gauges.json", Disk()).load()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EMFILE, errno.ELOOP])
def test_a_file_that_cannot_be_read_now_stays_unread(tmp_path: Path, number: int) -> None:
    def unreadable(path: Path) -> bytes:
        raise OSError(number, os.strerror(number))

    path = tmp_path / "gauges.json"
    GaugeFile(path, Disk()).save(GAUGES)
    file = GaugeFile(path, Disk(read=unreadable))
    with pytest.raises(UnreadableGaugesError, match=os.strerror(number)):
        file.load()
    assert file.unread
    assert GaugeFile(path, Disk()).load() == TEXTS
