"""The layout of the journal's file, and the rules to read it. native/agent/journal.h has the same layout.

A file has a part for each core that reads: one, or one more than there are threads. The parts have the same size, and
each consists of

words      64-bit words: what this file is, the datagrams in the slots, and a block of words for each place
messages   where the kernel writes the length of each datagram that it puts into a slot
about      the boot and the settings under which lines were read, with a checksum
slots      64 datagrams that were read last; they are appended to the records of the open window
records    a place for the window that is open, one for the window that is being written, and places for those that
           have closed meanwhile

A record has a head of eight bytes: its length, with its kind in the highest byte, and a check of the record. The check
is over the bytes, the head, the offset and the word of the window's generation, so that neither damage nor what an
earlier window has left in the same place is taken for a record. A word that is one number has the number in its lower
half and its complement in the upper half. The words of a window have a check of their own. What is in the slots has
none, because the kernel writes it.

What is true for all parts stands in the first one: MAGIC, TRIES, UNFINISHED, GAUGES_OF and about. A window is not
released as long as its block in the first part has its generation. In the other parts, a block belongs to a window
if it has the same generation.

All numbers have the byte order of the host, because a journal is only good on the host, and in the boot, that wrote it.
"""

import json
import struct
from binascii import crc32
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from agent.aggregate.aggregator import AggregateOptions
from agent.spool.checksummed import seal, unseal
from protocol.statsd_tags import TagRules

MAGIC: Final = int.from_bytes(b"fiestaj2", "big")
WORDS: Final = 512
ABOUT: Final = 8_192
RECORDS: Final = 32_768 + 64 * (65_536 + 832)
"""Where the records of the first window begin."""
HEAD_BYTES: Final = 32_768
"""What comes before the slots."""
ABOUT_BYTES: Final = HEAD_BYTES - ABOUT
_KIND: Final = "journal"

MAGIC_WORD: Final = 0
PENDING: Final = 1
"""Where the datagrams in the slots will be appended, 0 when they are not new. Two words about them follow."""
STAMPED: Final = (7, 15)
"""When the datagrams in the slots were read, 0 where nobody asked, and the complement of that."""
TRIES: Final = 4
"""How many starts have begun to redo what is in the file."""
UNFINISHED: Final = 5
"""Connections whose last line had not come to its end."""
GAUGES_OF: Final = 6
"""The generation of the window at whose end the gauges were as gauges.next.json has them."""

GENERATION: Final = 0
END: Final = 1
START: Final = 2
BASE: Final = 3
ID: Final = 4
SEAL: Final = 6
"""Words of a window's block: a number that grows with each window, 0 when the place is free; where its next record
goes; its start in seconds; the base of its clock (agent.clock), a double; two words of its id; and the check of all of
these but where the next record goes."""
PLACES: Final = 4
"""The open window, one that is being written, and two that wait for the disk."""
_FIRST_BLOCK: Final = 8
_BLOCK_WORDS: Final = 8

PLAIN: Final = 0
ABSOLUTE: Final = 1
"""Datagrams of a socket whose gauges are absolute where the others' are not."""
CUT: Final = 2
"""A datagram that was too long. Its last line is not whole."""
LOST: Final = 4
"""Not lines but a reason and a number: lines that were counted as lost when they were read."""
RULES: Final = 8
"""Not lines but the rules of all lines after it."""
STAMP: Final = 16
"""Not lines but when all lines after it were read, in nanoseconds of a clock that all threads share."""
_STAMP: Final = struct.Struct("=q")
_LENGTH: Final = struct.Struct("=I")
_HEAD: Final = struct.Struct("=II")
_HALF: Final = (1 << 32) - 1
_LENGTH_BITS: Final = 24


class Record(NamedTuple):
    """What was read at once."""

    kind: int
    data: bytes


class About(NamedTuple):
    """The boot of the host, what lines meant, how many bytes each place has, and how many parts the file has."""

    boot: str
    options: AggregateOptions
    room: int
    lanes: int = 1


def guarded(number: int) -> int:
    """The word of a number below 2^32."""
    return number | (number ^ _HALF) << 32


def number_in(word: int) -> int:
    """The number in a word. Raises ValueError when the word is damaged."""
    number = word & _HALF
    if word != guarded(number):
        raise ValueError("has a damaged number")
    return number


@dataclass(frozen=True, slots=True)
class Block:
    """A window's words. Each ``set`` is one store that a kill cannot cut in two."""

    words: memoryview
    """The file's first WORDS words, cast to "Q"."""
    place: int
    """Below PLACES."""

    @property
    def end_word(self) -> int:
        """The number of the word END."""
        return self._number(END)

    def get(self, word: int) -> int:
        """The value of a word of this window."""
        value: int = self.words[self._number(word)]
        return value

    def set(self, word: int, value: int) -> None:
        """Change a word of this window."""
        self.words[self._number(word)] = value

    def _number(self, word: int) -> int:
        return _FIRST_BLOCK + self.place * _BLOCK_WORDS + word

    @property
    def generation(self) -> int:
        """The window's generation. 0 when the place is free. Raises ValueError when the word is damaged."""
        return number_in(self.get(GENERATION))

    def release(self) -> None:
        """Make the place free."""
        self.set(GENERATION, guarded(0))

    def begin(self, generation: int, first: int, start: int, base: float, window_id: str) -> None:
        """Make the place the window's. The generation is set last: before that the place is free."""
        self.release()
        for word, value in zip((END, START, BASE), (first, start, double_to_word(base)), strict=True):
            self.set(word, value)
        self.set(ID, int(window_id[:16], 16))
        self.set(ID + 1, int(window_id[16:], 16))
        self.set(SEAL, self._seal(generation))
        self.set(GENERATION, guarded(generation))

    @property
    def is_sealed(self) -> bool:
        """Whether the words are as ``begin`` has set them."""
        return self.get(SEAL) == self._seal(self.generation)

    def _seal(self, generation: int) -> int:
        words = (generation, self.place, *(self.get(word) for word in (START, BASE, ID, ID + 1)))
        return guarded(crc32(struct.pack("=6Q", *words)))

    @property
    def window_id(self) -> str:
        """24 hex digits."""
        return f"{self.get(ID):016x}{self.get(ID + 1):08x}"


def begin_words(words: memoryview) -> None:
    """Set the numbers of a new file to 0. The word that says what the file is comes last, and is not set here."""
    for word in (PENDING, TRIES, UNFINISHED, GAUGES_OF):
        words[word] = guarded(0)
    stamped_word, its_complement = STAMPED
    words[stamped_word], words[its_complement] = 0, (1 << 64) - 1
    for block in blocks(words):
        block.release()


def blocks(words: memoryview) -> tuple[Block, ...]:
    """The blocks of all places."""
    return tuple(Block(words, place) for place in range(PLACES))


def first_record(place: int, room: int) -> int:
    """Where the records of a place begin, when each place has ``room`` bytes."""
    return RECORDS + place * room


def lane_bytes(room: int) -> int:
    """The bytes of a part, when each place has ``room`` bytes."""
    return first_record(PLACES, room)


def double_to_word(number: float) -> int:
    """A double as a word."""
    word: int = struct.unpack("=Q", struct.pack("=d", number))[0]
    return word


def word_to_double(word: int) -> float:
    """The double in a word."""
    number: float = struct.unpack("=d", struct.pack("=Q", word))[0]
    return number


def records(data: memoryview) -> Iterator[Record]:
    """The records in the order in which they were read, unchecked. Raises ValueError when they do not fill ``data``."""
    at = 0
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise ValueError("has a record without an end")
        head, _ = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        after = at + (head & (1 << _LENGTH_BITS) - 1)
        if after > len(data):
            raise ValueError("has a record without an end")
        yield Record(head >> _LENGTH_BITS, bytes(data[at:after]))
        at = after


def stamped(records_: Iterator[Record]) -> Iterator[tuple[int, Record]]:
    """The same records without the stamps, each with its own. 0 before the first stamp."""
    stamp = 0
    for record in records_:
        if record.kind == STAMP:
            stamp = _STAMP.unpack(record.data)[0]
        else:
            yield stamp, record


def encode_about(about: About) -> bytes:
    """The bytes of the part ``about``. Raises ValueError when they do not fit."""
    options = about.options
    fields = {
        "boot": about.boot,
        "max_names": options.max_names,
        "prefix": options.prefix,
        "tags": [options.tags.mode, options.tags.host],
        "gauges": options.gauges,
        "max_members": options.max_members,
        "interval": options.interval,
        "room": about.room,
        "lanes": about.lanes,
    }
    text = seal(_KIND, json.dumps(fields).encode())
    if len(text) + _LENGTH.size > ABOUT_BYTES:
        raise ValueError("the prefix and the tags of the host are too long for the journal")
    return _LENGTH.pack(len(text)) + text


def decode_about(data: bytes) -> About:
    """What ``encode_about`` was given. ``data`` may be longer. Raises ValueError."""
    length = _LENGTH.unpack_from(data)[0]
    try:
        fields = json.loads(unseal(_KIND, data[_LENGTH.size : _LENGTH.size + length]))
        mode, host = fields["tags"]
        options = AggregateOptions(
            fields["max_names"],
            fields["prefix"],
            TagRules(mode, tuple((key, value) for key, value in host)),
            fields["gauges"],
            fields["max_members"],
            fields["interval"],
        )
        return About(fields["boot"], options, fields["room"], fields["lanes"])
    except (KeyError, TypeError) as error:
        raise ValueError("does not say under which settings it was written") from error


class Rules(NamedTuple):
    """What a reload can change about the lines that are read after it: see AggregateOptions."""

    prefix: str
    tags: TagRules
    max_names: int


def encode_rules(rules: Rules) -> bytes:
    """The data of a record of the kind RULES."""
    return json.dumps([rules.prefix, rules.tags.mode, rules.tags.host, rules.max_names]).encode()


def decode_rules(data: bytes) -> Rules:
    """What ``encode_rules`` was given. Raises ValueError."""
    try:
        prefix, mode, host, max_names = json.loads(data)
        return Rules(prefix, TagRules(mode, tuple((key, value) for key, value in host)), max_names)
    except TypeError as error:
        raise ValueError("does not say what lines mean") from error


def encode_lost(reason: str, lines: int) -> bytes:
    """The data of a record of the kind LOST."""
    return f"{reason} {lines}".encode()


def decode_lost(data: bytes) -> tuple[str, int]:
    """The reason and the number of lines. Raises ValueError."""
    reason, lines = data.decode("ascii").split(" ")
    return reason, int(lines)


def check_record(record: Record) -> None:
    """Raises ValueError when the data of a record are not what its kind says."""
    if record.kind == LOST:
        decode_lost(record.data)
    elif record.kind == RULES:
        decode_rules(record.data)
    elif record.kind == STAMP and len(record.data) != _STAMP.size:
        raise ValueError("has a stamp that is none")
