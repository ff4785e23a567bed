"""A journal that is not what we wrote is put aside and counted. It never stops the start, and gives no number."""

import asyncio
import os
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import pytest

from agent.journal import layout
from agent.journal.left import ASIDE, MAX_TRIES
from protocol.statsd_tags import TagRules
from tests.agent.journal.lives import Life

PACKETS: Final = (b"a:1|c\na:2|c|@0.5", b"t:5|ms\nt:7|ms|#x:y", b"g:40|g\ng:+2|g\ns:m|s", b"a:3|c|#k:v", b"bad")
SAMPLES: Final = 9 + 2 + 2
"""What a start counts again: lines from before and after new rules, and a lost and a cut one."""


async def leave_a_journal(folder: Path) -> None:
    """An agent is killed that had read PACKETS, lost a line, and had one more half."""
    life = Life(folder, {})
    await life.start()
    for packet in PACKETS:
        life.read(packet)
    rules = TagRules("append", (("host", "h"),))
    life.journal.use(layout.Rules("new.", rules, 100))
    life.aggregator.name_by("new.", rules)
    life.read(b"a:1|c\nbad")
    life.journal.keep_lost("line_too_long", 1)
    life.journal.unfinished(1)
    life.killed()


def change(at: int, data: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(data)

    return write


def instead(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def link(path: Path) -> None:
    """The journal itself, by way of a symbolic link."""
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def give_away(path: Path) -> None:
    if os.geteuid():
        path.chmod(0)
    else:
        os.chown(path, 65_534, 65_534)


def cut(path: Path) -> None:
    os.truncate(path, 5_000)


def lengthen(path: Path) -> None:
    """A file of a terabyte, nearly all of which is a hole."""
    os.truncate(path, 1 << 40)


WORD: Final = 8
RECORDS: Final = layout.RECORDS
FIRST: Final = 8


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (change(0, b"fiestaj9"), "is not a journal of this version"),
        (change(0, bytes(4096)), "is not a journal of this version"),
        (change(layout.ABOUT, b"\xff\xff\xff\xff"), "is not a whole journal file"),
        (change(layout.ABOUT + 200, b"\0"), "is not a whole journal file"),
        (change(WORD * layout.PENDING, b"\1"), "the journal is damaged"),
        (change(WORD * layout.TRIES, b"\1"), "has a damaged number"),
        (change(WORD * layout.UNFINISHED, b"\7"), "has a damaged number"),
        (change(WORD * layout.GAUGES_OF, b"\7"), "has a damaged number"),
        (change(WORD * (FIRST + layout.GENERATION), bytes(8)), "has a damaged number"),
        (change(WORD * (FIRST + layout.END), b"\xff" * 8), "has a window that ends outside of it"),
        (change(WORD * (FIRST + layout.END) + 1, b"\xff"), "has a damaged record"),
        (change(WORD * (FIRST + layout.START), b"\1"), "has a window whose words are damaged"),
        (change(WORD * (FIRST + layout.BASE), b"\1"), "has a window whose words are damaged"),
        (change(WORD * (FIRST + layout.ID), b"\1"), "has a window whose words are damaged"),
        (change(RECORDS, b"\xff\xff\xff"), "has a damaged record"),
        (change(RECORDS, bytes(4)), "has a damaged record"),
        (change(RECORDS + 8, b"b"), "has a damaged record"),
        (change(WORD * layout.TRIES, layout.guarded(MAX_TRIES).to_bytes(8, "little")), "could not be redone in 10"),
        (cut, "is too short"),
        (lengthen, "has not the size that it says"),
        (instead(lambda path: path.write_bytes(b"x" * (1 << 20))), "is not a journal of this version"),
        (instead(Path.mkdir), "Is a directory"),
        (instead(os.mkfifo), "is no regular file"),
        (link, "is a symbolic link"),
        (give_away, "Permission denied" if os.geteuid() else "belongs to another user"),
    ],
)
def test_a_bad_journal_is_put_aside_and_never_stops_the_start(tmp_path: Path, damage: Any, why: str) -> None:
    async def lives() -> None:
        await leave_a_journal(tmp_path)
        damage(tmp_path / "journal")
        life = Life(tmp_path, {})
        await life.start()
        (said,) = life.log.messages("journal_left")
        assert why in said
        assert life.recovery.put_aside == said
        assert ASIDE in {path.name for path in files_in(tmp_path)}
        assert (life.ledger.recovered, life.balance(), life.journal.why_not) == (0, 0, "")
        life.killed()

    asyncio.run(lives())


def test_a_journal_of_another_boot_is_put_aside(tmp_path: Path) -> None:
    """So is one that came from another host."""

    async def lives() -> None:
        await leave_a_journal(tmp_path)
        life = Life(tmp_path, {}, boot="another")
        await life.start()
        assert "is of another boot of this host" in life.recovery.put_aside
        assert (life.ledger.recovered, life.journal.why_not) == (0, "")
        life.killed()

    asyncio.run(lives())


def test_what_cannot_be_put_aside_is_said_and_the_start_goes_on(tmp_path: Path) -> None:
    async def lives() -> None:
        for name in ("journal", ASIDE):
            (tmp_path / name / "full").mkdir(parents=True)
        life = Life(tmp_path, {})
        await life.start()
        assert life.recovery.put_aside.endswith("cannot be put aside: Directory not empty")
        assert life.journal.why_not == "Is a directory"
        life.read(b"a:1|c")
        assert life.balance() == 0
        life.killed()

    asyncio.run(lives())


@pytest.mark.parametrize("head", [b"", bytes(8), bytes(40_000)])
def test_a_journal_that_was_never_begun_is_no_fault(tmp_path: Path, head: bytes) -> None:
    async def lives() -> None:
        (tmp_path / "journal").write_bytes(head)
        life = Life(tmp_path, {})
        await life.start()
        assert (life.log.messages("journal_left"), life.recovery.put_aside) == ([], "")
        life.killed()

    asyncio.run(lives())


def test_a_record_that_was_not_counted_yet_is_in(tmp_path: Path) -> None:
    """The kill came between the record and the word that says where the next one goes."""

    async def lives() -> None:
        await leave_a_journal(tmp_path)
        change(WORD * (FIRST + layout.END), RECORDS.to_bytes(8, "little"))(tmp_path / "journal")
        life = Life(tmp_path, {})
        await life.start()
        assert (life.ledger.recovered, life.recovery.put_aside) == (SAMPLES, "")
        life.killed()

    asyncio.run(lives())


class Original:
    """A journal, to be written again and again. Only the parts that are not zero."""

    def __init__(self, path: Path) -> None:
        self.size = path.stat().st_size
        with path.open("rb") as file:
            self.head = file.read(layout.HEAD_BYTES)
            file.seek(RECORDS)
            self.records = file.read(4096).rstrip(b"\0")

    def write(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            path.unlink()
        with path.open("xb") as file:
            file.write(self.head)
            file.seek(RECORDS)
            file.write(self.records)
            file.truncate(self.size)

    def any_place(self, chance: random.Random) -> int:
        words = chance.randrange(WORD * 24)
        about = layout.ABOUT + chance.randrange(600)
        anywhere = chance.randrange(self.size)
        return chance.choice([words, words, about, RECORDS + chance.randrange(len(self.records)), anywhere])


@contextmanager
def damaged(original: Original, path: Path, chance: random.Random) -> Iterator[None]:
    """One of: flipped bits, other bytes, zeros, a page of zeros, another size. An empty file could be a new one."""
    original.write(path)
    at, kind = original.any_place(chance), chance.randrange(5)
    with path.open("r+b", buffering=0) as file:
        if kind == 0:
            for _ in range(chance.randrange(1, 4)):
                at = original.any_place(chance)
                byte = os.pread(file.fileno(), 1, at)[0] ^ 1 << chance.randrange(8)
                os.pwrite(file.fileno(), bytes([byte]), at)
        elif kind == 1:
            os.pwrite(file.fileno(), chance.randbytes(chance.choice([1, 8, 64, 5_000])), at)
        elif kind == 2:
            os.pwrite(file.fileno(), bytes(chance.choice([1, 8, 64])), at)
        elif kind == 3:
            os.pwrite(file.fileno(), bytes(4096), at & ~4095)
        else:
            os.truncate(path, chance.choice([max(1, at), original.size + at + 1]))
    yield


def forget_gauges(folder: Path) -> None:
    for path in files_in(folder):
        if path.name.startswith("gauges"):
            path.unlink()


async def lives_after_damage(folder: Path, count: int, seed: int) -> dict[str, int]:
    """Start so many times with a damaged journal. Returns how often all was there, and how often it was put aside."""
    chance, found = random.Random(seed), {"redone": 0, "put aside": 0}
    await leave_a_journal(folder)
    original = Original(folder / "journal")
    for _ in range(count):
        with damaged(original, folder / "journal", chance):
            stored: dict[str, list[dict[str, Any]]] = {}
            life = Life(folder, stored)
            await life.start()
        while len(life.spool.index):
            life.send()
        sums = {(one["name"], str(one.get("tags")), one["value"]) for items in stored.values() for one in items}
        assert life.balance() == 0
        if life.recovery.put_aside:
            assert (life.ledger.recovered, sums, life.ledger.dropped) == (0, set(), {})
            found["put aside"] += 1
        else:
            assert (life.ledger.recovered, sums) == (SAMPLES, WHOLE), (life.ledger.recovered, sums)
            found["redone"] += 1
        life.killed()
        forget_gauges(folder)
    return found


WHOLE: Final = {
    *(("a", "None", 5), ("a", "{'k': 'v'}", 3), ("t", "None", 5), ("t", "{'x': 'y'}", 7), ("g", "None", 42)),
    *(("s", "None", 1), ("new.a", "{'host': 'h'}", 1)),
}


def test_random_damage_gives_all_or_nothing(tmp_path: Path) -> None:
    found = asyncio.run(lives_after_damage(tmp_path, 60, 1))
    assert found["redone"] > 10
    assert found["put aside"] > 10
