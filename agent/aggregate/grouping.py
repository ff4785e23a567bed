"""Lines that belong together: from thousands of lines to a few groups of values, in C where it matters.

Lines are gathered by name as sent, then by what their tails mean. A text is asked of the grammar once
and remembered, so a line costs a split, a look-up and an append.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from protocol.statsd import (
    BadLineError,
    Head,
    Note,
    Reason,
    Tail,
    full_name,
    lost_with,
    parse_head,
    parse_tail,
    pieces_of,
)

MAX_MEANINGS: Final = 100_000
"""Names and tails whose meaning is remembered. Beyond it all are forgotten and learned again,"""
MAX_MEANING_BYTES: Final = 16 << 20
"""and so they are when they are longer than this together."""
PIECE_BYTES: Final = 64
"""Memory of a piece that is remembered, beside its text."""
NAMES_A_STEP: Final = 500
"""Names looked at before the caller may do something else: some 3 ms where all are new."""
_SAMPLE: Final = 64


class Meaning(NamedTuple):
    """What all lines of one name and one tail as sent have in common."""

    name: str
    tail: Tail
    notes: tuple[Note, ...]


class Pieces(NamedTuple):
    """What a tail is that has further values in it: the tail of those before it, and the pieces that follow."""

    first: bytes
    others: tuple[bytes, ...]

    def of(self, values: bytes) -> list[bytes]:
        """The pieces of lines with these values, in the order sent; none of them has others in it."""
        return [piece for value in values.split(b"\n") for piece in (value + b"|" + self.first, *self.others)]


class LineGroup(NamedTuple):
    """Lines counted under one name with one meaning.

    ``values`` are what stood between name and type, a line each, in the order sent. Each of the lines
    was sent ``times`` times.
    """

    name: str
    tail: Tail
    notes: tuple[Note, ...]
    values: bytes
    times: int = 1


class Gatherer:
    """Groups lines and remembers meanings. ``reject`` is told of lines that have none: why and how many."""

    def __init__(self, prefix: str, append_tags: bool, reject: Callable[[Reason, int], None]) -> None:
        self._prefix = prefix
        self._reject = reject
        self._heads = _Heads()
        self._tails = _Tails(append_tags)

    def gather(self, lines: list[bytes]) -> Iterator[LineGroup | None]:
        """Groups that hold every line that has a meaning; empty lines are skipped. None says that work was done.

        The order of a gauge's values is that of the lines, within its groups and from one to the next;
        other types keep no order.
        """
        by_name: defaultdict[bytes, list[bytes]] = defaultdict(list)
        for line in filter(None, lines):
            raw, _, rest = line.partition(b":")
            by_name[raw].append(rest)
        gauges: defaultdict[str, list[tuple[bytes, LineGroup]]] = defaultdict(list)
        for number, (raw, rests) in enumerate(by_name.items(), 1):
            if number % NAMES_A_STEP == 0:
                yield None
            for group in self._groups(raw, rests):
                if group is None:
                    yield None
                elif group.tail.type == "gauge":
                    gauges[group.name].append((raw, group))
                else:
                    yield group
        mixed: set[bytes] = set()
        for found in gauges.values():
            if len(found) == 1:
                yield found[0][1]
            else:
                mixed.update(raw for raw, _ in found)
        if mixed:
            yield from self._in_order(lines, mixed, {name for name, found in gauges.items() if len(found) > 1})
        self._forget()

    def meaning(self, raw: bytes, text: bytes) -> Meaning | None:
        """What a name and a tail as sent mean; None when their lines are rejected, whatever their values."""
        self._forget()
        head, tail = self._heads[raw], self._tails.meanings[self._tails[text]]
        if isinstance(head, str) or not isinstance(tail, Tail):
            return None
        try:
            return Meaning(full_name(self._prefix, head, tail), tail, head.notes + tail.notes)
        except BadLineError:
            return None

    def _groups(self, raw: bytes, rests: list[bytes]) -> Iterator[LineGroup | None]:
        """The groups of a name; None says that work was done."""
        head, tails = self._heads[raw], self._tails  # which may be forgotten and learned again between two groups
        if isinstance(head, str) and head != "bad_name":
            self._reject(head, len(rests))
            return
        for index, values, times in self._repeated(rests) or self._by_tail(rests):
            tail = tails.meanings[index]
            if isinstance(tail, Pieces):
                yield from self._groups(raw, tail.of(values) * times)
                yield None  # a line may hold thousands of pieces
                continue
            if isinstance(tail, str):
                self._lose(tail if isinstance(head, Head) else head, values, tail, times)
                continue
            if isinstance(head, str):
                self._lose(head, values, tail, times)
                continue
            try:
                name = full_name(self._prefix, head, tail) if self._prefix or tail.suffix else head.name
            except BadLineError as rejected:
                self._lose(rejected.reason, values, tail, times)
                continue
            yield LineGroup(name, tail, head.notes + tail.notes, values, times)

    def _lose(self, reason: Reason, values: bytes, tail: Tail | Reason, times: int) -> None:
        """Reject lines as a whole, with as many samples as there are values in them."""
        self._reject(reason, sum(lost_with(line, tail) for line in values.split(b"\n")) * times)

    def _repeated(self, rests: list[bytes]) -> list[tuple[int, bytes, int]]:
        """Each different line once with its number, where a few are sent over and over; else nothing.

        Nothing for gauges either: their order would be lost.
        """
        first = rests[0]
        if rests.count(first) == len(rests):
            counted = {first: len(rests)}
        elif len(rests) < _SAMPLE or len(set(rests[:_SAMPLE])) * 4 > _SAMPLE:
            return []
        else:
            counted = Counter(rests)
        found = []
        for rest, times in counted.items():
            values, _, text = rest.partition(b"|")
            index = self._tails[text]
            tail = self._tails.meanings[index]
            if isinstance(tail, Pieces) or (isinstance(tail, Tail) and tail.type == "gauge"):
                return []
            found.append((index, values, times))
        return found

    def _by_tail(self, rests: list[bytes]) -> list[tuple[int, bytes, int]]:
        """The lines of a name by what their tails mean. Mostly a name has one tail, which is cut in one go."""
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

    def _in_order(self, lines: list[bytes], raws: set[bytes], names: set[str]) -> Iterator[LineGroup]:
        """A group per line for gauges that are sent by several names or tails. These were all good before."""
        for line in lines:
            raw, _, rest = line.partition(b":")
            if raw not in raws:
                continue
            for values, text in pieces_of(rest):
                head, tail = self._heads[raw], self._tails.meanings[self._tails[text]]
                if isinstance(head, Head) and isinstance(tail, Tail) and tail.type == "gauge":
                    name = f"{self._prefix}{head.name}{tail.suffix}"
                    if name in names:
                        yield LineGroup(name, tail, head.notes + tail.notes, values)

    def _forget(self) -> None:
        # All at once, since groups hold indexes of tails. It parses at most twice what it parsed since the last time.
        many = len(self._heads) + len(self._tails) > MAX_MEANINGS
        if many or self._heads.size + self._tails.size > MAX_MEANING_BYTES:
            self._heads = _Heads()
            self._tails = self._tails.emptied()


class _Heads(dict[bytes, Head | Reason]):
    """Name as sent -> its meaning, or why it has none. ``size`` is the bytes of all names."""

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
    """Tail as sent -> index in ``meanings`` of its meaning, or of why it has none.

    Tails that mean the same share an index: with tags dropped, a hundred different tags are one group.
    ``size`` is the bytes of all tails.
    """

    def __init__(self, append_tags: bool) -> None:
        super().__init__()
        self.meanings: list[Tail | Reason | Pieces] = []
        self.size = 0
        self._append_tags = append_tags
        self._indexes: dict[Tail | Reason | Pieces, int] = {}

    def __missing__(self, text: bytes) -> int:
        self.size += len(text)
        (_, first), *others = pieces_of(b"|" + text)
        if others:
            self.size += PIECE_BYTES * len(others)
            return self._keep(text, Pieces(first, tuple(values + b"|" + tail for values, tail in others)))
        try:
            tail: Tail | Reason = parse_tail(text, self._append_tags)
        except BadLineError as rejected:
            tail = rejected.reason
        return self._keep(text, tail)

    def _keep(self, text: bytes, tail: Tail | Reason | Pieces) -> int:
        index = self._indexes.setdefault(tail, len(self.meanings))
        if index == len(self.meanings):
            self.meanings.append(tail)
        self[text] = index
        return index

    def emptied(self) -> "_Tails":
        return _Tails(self._append_tags)
