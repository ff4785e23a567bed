"""Random reads into the journal, and journals that are not what we wrote, for the fuzzer."""

import mmap
import socket
import struct
import tempfile
from random import Random
from typing import IO, Any, Final

from agent.journal import layout
from tests.native import fuzz_inputs, sanitized

END_WORD: Final = layout.Block(memoryview(b""), 0).end_word
SIZE: Final = layout.RECORDS + (1 << 20)


def a_map(file: IO[bytes]) -> mmap.mmap:
    """All of a new file."""
    file.truncate(SIZE)
    return mmap.mmap(file.fileno(), SIZE)


def journals(dice: Random) -> None:
    """What is read and kept is in the records, in order, as long as there is room. Any words do no harm."""
    with tempfile.TemporaryFile() as file, a_map(file) as map_:
        words = memoryview(map_)[: layout.WORDS * 8].cast("Q")
        layout.begin_words(words)
        core = sanitized.AGENT.Core(lambda name, tail: (0, (name, tail)))
        room = layout.RECORDS + dice.randrange(SIZE - layout.RECORDS)
        words[END_WORD - 1], words[END_WORD] = dice.getrandbits(64), layout.RECORDS
        asked: list[int] = []
        core.open_journal(map_, asked.append, dice.choice((-1, file.fileno())))
        core.aim_journal(END_WORD, room)
        kept = [record for _ in range(dice.randrange(12)) for record in _one(dice, core)]
        with memoryview(map_) as whole, whole[layout.RECORDS : words[END_WORD]] as data:
            assert words[END_WORD] <= room
            found = list(layout.records(data))
        if not asked:
            assert found == kept
        assert core.records_end(map_, layout.RECORDS, room, words[END_WORD - 1]) == words[END_WORD]
        if words[END_WORD] > layout.RECORDS:
            map_[dice.randrange(layout.RECORDS, words[END_WORD])] ^= 1 << dice.randrange(8)
            assert core.records_end(map_, layout.RECORDS, room, words[END_WORD - 1]) < words[END_WORD]
        _damage(dice, core, map_, words)
        core.close_journal()
        words.release()


def _one(dice: Random, core: Any) -> list[tuple[int, bytes]]:
    text, kind = fuzz_inputs.packet(dice)[:60_000], dice.choice((0, 1, 255))
    if dice.random() < 0.3:
        core.keep(kind, text)
        return [(kind, text)] if text else []
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        here.send(text)
        if dice.random() < 0.5:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            ((packet, cut, _, _),), _ = core.receive(there.fileno(), 2, kind)
            assert (packet, cut) == (text, False)
            return [(kind, text)] if text else []
        core.read(there.fileno(), 2)
        return [(0, text)] if text else []


def _damage(dice: Random, core: Any, map_: mmap.mmap, words: memoryview) -> None:
    """Whatever the words and the lengths say, finishing writes within the room or refuses."""
    guarded = layout.guarded
    words[1] = guarded(words[END_WORD]) if dice.random() < 0.8 else dice.getrandbits(64)
    words[2] = dice.choice((0, guarded(1), guarded(256), 2**40))
    words[3] = dice.choice((0, 1, *map(guarded, (1, 2, 64, 65, 2**31)), 2**63))
    for index in range(64):
        length = dice.choice((0, 0, 1, 65_536, 65_537, 2**32 - 1)) if dice.random() < 0.2 else dice.randrange(100)
        struct.pack_into("=I", map_, 4096 + 64 * index + 56, length)
    before = words[END_WORD]
    try:
        core.finish_journal()
    except ValueError:
        assert words[END_WORD] == before
    else:
        assert before <= words[END_WORD] <= SIZE
