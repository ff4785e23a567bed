"""How much is kept, what happens when there is no room for more, and what is said then."""

import asyncio
import errno
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from agent.aggregate.compiled import CORE
from agent.journal.journal import NO_CORE, Journal, JournalRoom
from agent.journal.lane import QUIET_WINDOWS
from agent.journal.layout import (
    ABOUT_BYTES,
    About,
    decode_about,
    decode_lost,
    double_to_word,
    encode_about,
    encode_lost,
    records,
    word_to_double,
)
from tests.agent.journal.lives import ROOM, Life, Log

MIB = 1 << 20


def full_after(steps: int) -> JournalRoom:
    """A disk with room for so many steps."""
    left = [steps]

    def allocate(descriptor: int, offset: int, length: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return JournalRoom(16 * MIB, 8 * MIB, allocate)


async def a_life(folder: Path, room: JournalRoom = ROOM) -> Life:
    life = Life(folder, {}, room=room)
    await life.start()
    return life


def sum_of(folder: Path, name: str) -> int:
    found = 0
    for path in (folder / "queue").glob("*.batch"):
        for line in path.read_bytes().splitlines()[2:]:
            item = json.loads(line)
            found += item["value"] if item["name"] == name else 0
    return found


PACKET = b"\n".join([b"many:1|c"] * 6_000)


def test_a_window_that_fills_the_journal_is_closed_early(tmp_path: Path) -> None:
    async def lives() -> None:
        life = await a_life(tmp_path)
        for _ in range(400):  # 21 MB where 8 MB are room
            life.read(PACKET)
            await asyncio.sleep(0)
        assert life.journal.why_not == ""
        await life.flush.finish()
        life.killed()
        life = await a_life(tmp_path)
        await life.close_window()
        assert sum_of(tmp_path, "many") == 400 * 6_000
        assert life.ledger.recovered == 400 * 6_000
        life.killed()

    asyncio.run(lives())


def test_when_the_disk_gives_no_room_the_agent_counts_on_and_says_so_once(tmp_path: Path) -> None:
    async def lives() -> None:
        life = await a_life(tmp_path, full_after(2))
        for _ in range(3):
            for _ in range(200):
                life.read(PACKET)
            await life.close_window()
        assert life.journal.why_not == "No space left on device"
        (said,) = life.log.messages("journal_fails")
        assert said.endswith("No space left on device; until it can be written, a kill loses the open window")
        assert sum_of(tmp_path, "many") == 600 * 6_000
        assert life.balance() == 0
        life.killed()

    asyncio.run(lives())


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("spoil", "boot", "why"),
    [
        (lambda path: None, "", "this system does not say when it was booted"),
        (lambda path: (path / "journal").mkdir(parents=True), "boot", "Is a directory"),
    ],
)
def test_without_a_journal_the_agent_works(tmp_path: Path, spoil: Any, boot: str, why: str) -> None:
    spoil(tmp_path)
    assert CORE is not None
    log = Log()
    core = CORE(lambda name, tail: (0, None))
    journal = Journal(tmp_path / "journal", core, log, JournalRoom(allocate=lambda *_: None))
    journal.open(boot, Life(tmp_path, {}).options)
    opened = journal.turn(0, 0.0)
    assert (opened.generation, len(opened.id), journal.why_not) == (0, 24, why)
    assert len(log.messages("journal_fails")) == 1
    assert core.keep(0, b"a:1|c") is False
    journal.release_closed()
    journal.unfinished(1)
    journal.gauges_of(1)
    journal.close()


def test_on_a_file_system_that_maps_nothing_the_agent_works_and_says_why(tmp_path: Path) -> None:
    def no_map(descriptor: int, length: int) -> Any:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    async def lives() -> None:
        life = await a_life(tmp_path, JournalRoom(8 * MIB, 8 * MIB, map=no_map))
        life.read(b"a:1|c")
        await life.close_window()
        assert life.journal.why_not == "its file system cannot map files into memory; put the spool on a local disk"
        assert (sum_of(tmp_path, "a"), life.balance(), (tmp_path / "journal").exists()) == (1, 0, False)
        life.killed()

    asyncio.run(lives())


def test_without_room_there_is_no_journal_until_a_window_begins_with_room(tmp_path: Path) -> None:
    faults = [True, True, False, False, False]

    def allocate(descriptor: int, offset: int, length: int) -> None:
        if faults.pop(0):
            refuse()

    async def lives() -> None:
        life = await a_life(tmp_path, JournalRoom(8 * MIB, 8 * MIB, allocate))
        assert life.journal.why_not == "No space left on device"
        assert not (tmp_path / "journal").exists()
        life.read(b"a:1|c")
        await life.close_window()
        assert life.journal.why_not == ""
        life.read(b"a:2|c")
        life.killed()
        life = await a_life(tmp_path)
        assert life.ledger.recovered == 2
        assert sum_of(tmp_path, "a") == 3
        life.killed()

    asyncio.run(lives())


def test_without_the_core_there_is_no_journal_and_nothing_is_said(tmp_path: Path) -> None:
    log = Log()
    journal = Journal(tmp_path / "journal", None, log, JournalRoom())
    journal.open("boot", Life(tmp_path, {}).options)
    assert (journal.turn(0, 0.0).generation, journal.why_not) == (0, NO_CORE)
    feed: list[bytes] = []
    journal.keeping(feed.append)(b"a:1|c")
    journal.keep_lost("line_cut", 1)
    journal.close()
    assert (feed, log) == ([b"a:1|c"], [])
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_private_and_takes_room_only_as_it_is_used(tmp_path: Path) -> None:
    async def lives() -> None:
        life = await a_life(tmp_path, JournalRoom())
        about = (tmp_path / "journal").stat()
        assert stat.S_IMODE(about.st_mode) == 0o600
        assert about.st_size > 256 * MIB
        assert about.st_blocks * 512 < 24 * MIB
        life.killed()

    asyncio.run(lives())


def resident(folder: Path) -> int:
    """Bytes of the journal in the memory of this process."""
    words = Path("/proc/self/smaps").read_text().partition(f"{folder}/journal\n")[2].split("Rss:")[1].split()
    return int(words[0]) << 10


def test_many_records_at_once_take_no_memory(tmp_path: Path) -> None:
    async def lives() -> None:
        life = await a_life(tmp_path)
        for _ in range(120):
            life.read(PACKET)
        assert resident(tmp_path) < 1 * MIB
        life.killed()
        life = await a_life(tmp_path)
        assert life.ledger.recovered == 120 * 6_000
        life.killed()

    asyncio.run(lives())


def test_memory_of_a_busy_window_is_given_back_after_some_quiet_ones(tmp_path: Path) -> None:
    async def lives() -> None:
        life = await a_life(tmp_path)
        for _ in range(1_200):
            life.read(PACKET[:5_000])
        await life.close_window()
        for _ in range(QUIET_WINDOWS - 1):
            await life.close_window()
            assert resident(tmp_path) > 5 * MIB
        for _ in range(2):
            await life.close_window()
        assert resident(tmp_path) < 1 * MIB
        life.killed()

    asyncio.run(lives())


@pytest.mark.parametrize("number", [0.0, -1.5, 1.7e9, 1e-300])
def test_a_double_fits_into_a_word(number: float) -> None:
    assert word_to_double(double_to_word(number)) == number


def test_settings_and_losses_come_back(tmp_path: Path) -> None:
    about = About("boot", Life(tmp_path, {}).options, 8 << 20)
    assert decode_about(encode_about(about) + b"\0" * 100) == about
    assert decode_lost(encode_lost("line_cut", 12)) == ("line_cut", 12)


@pytest.mark.parametrize("length", [ABOUT_BYTES, 10 * ABOUT_BYTES])
def test_settings_that_do_not_fit_are_refused(length: int, tmp_path: Path) -> None:
    options = Life(tmp_path, {}).options
    with pytest.raises(ValueError, match="too long for the journal"):
        encode_about(About("b" * length, options, 8 << 20))


@pytest.mark.parametrize("data", [b"\1", b"\1\0\0", b"\2\0\0\0....a", b"\1\0\0\0....ab"])
def test_records_that_do_not_fill_their_room_are_an_error(data: bytes) -> None:
    with pytest.raises(ValueError, match="has a record without an end"):
        list(records(memoryview(data)))
