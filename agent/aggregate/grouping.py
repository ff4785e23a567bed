"""From thousands of lines to a few groups of values.

Lines are grouped by name as sent, then by what their tails mean. The grammar parses each name and tail once and the
result is remembered, so a line costs a split, a look-up and an append.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final, NamedTuple

from agent.aggregate.freeing import freeing
from protocol.statsd import (
    BadLineError,
    BadTail,
    Head,
    Note,
    Reason,
    Tail,
    key_of,
    lost_with,
    parse_head,
    pieces_of,
    tail_of,
)
from protocol.statsd_tags import TagRules

MAX_MEANINGS: Final = 100_000
"""Names and tails whose meaning is remembered. When there are more, all are forgotten and learned again."""
MAX_MEANING_BYTES: Final = 16 << 20
"""Bytes of all remembered names and tails. When they are longer, all are forgotten too."""
SUFFIXES: Final = 1_000
"""Tags written into names, of which it is remembered what they add to a name. Many names have the same ones."""
PIECE_BYTES: Final = 64
"""Memory that a remembered piece takes beside its text."""
NAMES_PER_STEP: Final = 200
"""Names that are grouped before the caller may do other work: some milliseconds where all are new."""
LINES_PER_STEP: Final = 2_000
"""Lines that are sorted by name before the caller may do other work: a millisecond or two."""
_SAMPLE: Final = 64
"""Lines of a name that are compared to see whether a few lines repeat."""


class Meaning(NamedTuple):
    """What all lines of one name and one tail as sent have in common. ``key`` is that of their series."""

    key: str
    tail: Tail
    notes: tuple[Note, ...]


class Pieces(NamedTuple):
    """A tail that has further pieces in it: the tail of the first piece, and the other pieces."""

    first: bytes
    others: tuple[bytes, ...]

    def of(self, values: bytes) -> list[bytes]:
        """The single pieces of lines with these values, in the order sent."""
        return [piece for value in values.split(b"\n") for piece in (value + b"|" + self.first, *self.others)]


class LineGroup(NamedTuple):
    """Lines counted under one series, by its key, with one meaning.

    ``values`` is the text between name and type, one line per sent line, in the order sent. Each of the lines
    was sent ``times`` times.
    """

    key: str
    tail: Tail
    notes: tuple[Note, ...]
    values: bytes
    times: int = 1


class LineGrouper:
    """Groups lines and remembers meanings. It calls ``reject`` with the reason and the number of bad lines.

    ``telemetry`` gets the lines of clients about themselves: the name, and what stands after it in each line.
    """

    def __init__(
        self,
        prefix: str,
        rules: TagRules,
        reject: Callable[[Reason, int], None],
        telemetry: Callable[[bytes, list[bytes]], None] = lambda name, rests: None,
    ) -> None:
        self._telemetry = telemetry
        self._prefix = prefix
        self._suffix_of = lru_cache(SUFFIXES)(rules.suffix)
        self._reject = reject
        self._heads = _Heads()
        self._tails = _Tails(rules)
        self._outdated: list[list[Any] | dict[Any, Any]] = []
        """What was forgotten and is not freed yet."""

    def group(self, lines: list[bytes]) -> Iterator[LineGroup | None]:
        """Put every good line into a group; empty lines are skipped. A None lets the caller do other work.

        The values of a gauge keep the order of the lines, within a group and from group to group.
        Other types keep no order.
        """
        by_name: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for first in range(0, len(lines), LINES_PER_STEP):
            if first:
                yield None
            for line in filter(None, lines[first : first + LINES_PER_STEP]):
                raw, _, rest = line.partition(b":")
                by_name[raw].append(rest)
        gauges: defaultdict[str, list[tuple[bytes, LineGroup]]] = defaultdict(list)
        for number, (raw, rests) in enumerate(by_name.items(), 1):
            if number % NAMES_PER_STEP == 0:
                yield None
            for group in self._groups(raw, rests):
                if group is None:
                    yield None
                elif group.tail.type == "gauge":
                    gauges[group.key].append((raw, group))
                else:
                    yield group
        mixed: set[bytes] = set()
        for groups in gauges.values():
            if len(groups) == 1:
                yield groups[0][1]
            else:
                mixed.update(raw for raw, _ in groups)
        if mixed:
            yield from self._in_order(lines, mixed, {key for key, groups in gauges.items() if len(groups) > 1})
        self._forget()
        outdated, self._outdated = self._outdated, []
        yield from freeing(by_name, gauges, *outdated)

    def meaning(self, raw: bytes, text: bytes) -> Meaning | None:
        """What a name and a tail as sent mean. None when lines with them are always rejected."""
        self._forget()
        head, tail = self._heads[raw], self._tails.meanings[self._tails[text]]
        return None if isinstance(head, str) or not isinstance(tail, Tail) else self._meaning(head, tail)

    def _meaning(self, head: Head, tail: Tail) -> Meaning | None:
        try:
            key, notes = key_of(self._prefix, head, tail, self._suffix_of)
        except BadLineError:
            return None
        return Meaning(key, tail, notes)

    def _groups(self, raw: bytes, rests: list[bytes]) -> Iterator[LineGroup | None]:
        """The groups of a name. A None lets the caller do other work."""
        # Held here, because self._tails may be forgotten and learned again between two groups.
        head, tails = self._heads[raw], self._tails
        if isinstance(head, str) and head != "bad_name":
            self._reject(head, len(rests))
            if head == "client_telemetry":
                self._telemetry(raw, rests)
            return
        for index, values, times in self._repeated(rests) or self._by_tail(rests):
            tail = tails.meanings[index]
            if isinstance(tail, Pieces):
                yield from self._groups(raw, tail.of(values) * times)
                yield None  # a line may hold thousands of pieces
                continue
            if isinstance(tail, BadTail):
                self._lose(tail.reason if isinstance(head, Head) else head, values, tail, times)
                continue
            if isinstance(head, str):
                self._lose(head, values, tail, times)
                continue
            try:
                key, notes = key_of(self._prefix, head, tail, self._suffix_of)
            except BadLineError as rejected:
                self._lose(rejected.reason, values, tail, times)
                continue
            yield LineGroup(key, tail, notes, values, times)

    def _lose(self, reason: Reason, values: bytes, tail: Tail | BadTail, times: int) -> None:
        """Reject whole lines. Each value in them counts as a lost sample."""
        self._reject(reason, sum(lost_with(line, tail) for line in values.split(b"\n")) * times)

    def _repeated(self, rests: list[bytes]) -> list[tuple[int, bytes, int]]:
        """Each different line once, with how often it was sent. Empty unless a few lines repeat many times.

        Also empty for gauges, because their order would be lost.
        """
        first = rests[0]
        if rests.count(first) == len(rests):
            counted = {first: len(rests)}
        elif len(rests) < _SAMPLE or len(set(rests[:_SAMPLE])) * 4 > _SAMPLE:
            return []
        else:
            counted = Counter(rests)
        groups = []
        for rest, times in counted.items():
            values, _, text = rest.partition(b"|")
            index = self._tails[text]
            tail = self._tails.meanings[index]
            if isinstance(tail, Pieces) or (isinstance(tail, Tail) and tail.type == "gauge"):
                return []
            groups.append((index, values, times))
        return groups

    def _by_tail(self, rests: list[bytes]) -> list[tuple[int, bytes, int]]:
        """The lines of a name by what their tails mean. Most names have one tail; it is cut from all lines at once."""
        tails = self._tails
        text = rests[0].partition(b"|")[2]
        if rests[-1].endswith(text):
            suffix = b"|" + text + b"\n"
            joined = b"\n".join(rests) + b"\n"
            if joined.count(suffix) == len(rests):
                values = joined.replace(suffix, b"\n")
                if b"|" not in values:
                    return [(tails[text], values[:-1], 1)]
        by_tail: defaultdict[int, list[bytes]] = defaultdict(list)
        for rest in rests:
            value, _, text = rest.partition(b"|")
            by_tail[tails[text]].append(value)
        return [(index, b"\n".join(values), 1) for index, values in by_tail.items()]

    def _in_order(self, lines: list[bytes], raws: set[bytes], keys: set[str]) -> Iterator[LineGroup]:
        """A group per line for gauges that came under several names or tails. ``group`` has found these lines good."""
        for line in lines:
            raw, _, rest = line.partition(b":")
            if raw not in raws:
                continue
            for values, text in pieces_of(rest):
                head, tail = self._heads[raw], self._tails.meanings[self._tails[text]]
                if isinstance(head, Head) and isinstance(tail, Tail) and tail.type == "gauge":
                    meaning = self._meaning(head, tail)
                    if meaning is not None and meaning.key in keys:
                        yield LineGroup(*meaning, values)

    def _forget(self) -> None:
        # Groups hold indexes of tails, so all tails are forgotten together.
        many = len(self._heads) + len(self._tails) > MAX_MEANINGS
        if many or self._heads.size + self._tails.size > MAX_MEANING_BYTES:
            self._outdated += self._heads, self._tails, self._tails.meanings, self._tails.indexes
            self._heads = _Heads()
            self._tails = self._tails.emptied()
            self._suffix_of.cache_clear()


class _Heads(dict[bytes, Head | Reason]):
    """Name as sent -> its meaning, or why it is bad. ``size`` is the bytes of all names."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def __missing__(self, raw: bytes) -> Head | Reason:
        self.size += len(raw)
        try:
            head: Head | Reason = parse_head(raw)
        except BadLineError as rejected:
            head = rejected.reason
        self[raw] = head
        return head


class _Tails(dict[bytes, int]):
    """Tail as sent -> index in ``meanings`` of its meaning, or of why it is bad.

    Tails that mean the same share an index: with tags dropped, a hundred different tags are one group.
    ``size`` is the bytes of all tails.
    """

    def __init__(self, rules: TagRules) -> None:
        super().__init__()
        self.meanings: list[Tail | BadTail | Pieces] = []
        self.size = 0
        self._rules = rules
        self.indexes: dict[Tail | BadTail | Pieces, int] = {}

    def __missing__(self, text: bytes) -> int:
        self.size += len(text)
        (_, first), *others = pieces_of(b"|" + text)
        if others:
            self.size += PIECE_BYTES * len(others)
            return self._remember(text, Pieces(first, tuple(values + b"|" + tail for values, tail in others)))
        return self._remember(text, tail_of(text, self._rules))

    def _remember(self, text: bytes, tail: Tail | BadTail | Pieces) -> int:
        index = self.indexes.setdefault(tail, len(self.meanings))
        if index == len(self.meanings):
            self.meanings.append(tail)
        self[text] = index
        return index

    def emptied(self) -> "_Tails":
        return _Tails(self._rules)
