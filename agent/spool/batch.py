"""A closed window becomes batches. A batch is what one request carries."""

import secrets
from collections.abc import Callable, Iterator
from itertools import count, repeat
from typing import Final, NamedTuple

from agent.aggregate.window import Window, WindowItem
from protocol.item import item_to_json
from protocol.limits import MAX_BATCH_ITEMS, MAX_BODY_BYTES
from protocol.statsd_types import to_letters
from protocol.times import format_time

FULL_BYTES: Final = MAX_BODY_BYTES * 3 // 4
"""A batch whose items have so many bytes takes no more. An item with the largest histogram has less than the other
quarter. So a body is within every limit of the wire, also uncompressed."""


class Unsure(NamedTuple):
    """A clock that central has not confirmed yet: the boot of the host, and wall clock minus steady clock."""

    boot: str
    base: float


class Batch(NamedTuple):
    """At most MAX_BATCH_ITEMS items of one window. It never changes, so a retry sends the same bytes.

    ``id`` is the Idempotency-Key: 32 hex digits. Each split adds ``.0`` or ``.1``.
    ``start`` is the window's start in whole seconds, ``part`` the batch's place in its window.
    ``items`` has the JSON objects as text, ``samples`` how many samples each of them stands for.
    ``types`` has one letter per item for its StatsD type (protocol.statsd_types). It is empty in batches of old
    versions. ``unsure`` is set while the clock that gave ``start`` may be wrong and the batch was never sent.
    An item is under 460 bytes without its histogram, which usually has some 150. With large ones a batch has fewer
    items: see FULL_BYTES.
    """

    id: str
    start: int
    part: int
    samples: tuple[int, ...]
    items: tuple[str, ...]
    types: str = ""
    unsure: "Unsure | None" = None

    @property
    def total(self) -> int:
        """Samples in the whole batch."""
        return sum(self.samples)

    def body(self) -> bytes:
        """The request body, before compression."""
        return f'{{"metrics":[{",".join(self.items)}]}}'.encode()

    def at(self, start: int) -> "Batch":
        """The same batch for a window that started at another time."""
        old, new = (f'"recorded_at":"{format_time(seconds)}"' for seconds in (self.start, start))
        return self._replace(start=start, items=tuple(item.replace(old, new) for item in self.items), unsure=None)

    def halves(self) -> "tuple[Batch, Batch] | None":
        """The two batches to send in its place when it is too large. None for a single item."""
        if len(self.items) < 2:
            return None
        middle = (len(self.items) + 1) // 2
        return self._part(".0", slice(middle)), self._part(".1", slice(middle, None))

    def _part(self, suffix: str, share: slice) -> "Batch":
        items, samples, types = self.items[share], self.samples[share], self.types[share]
        return self._replace(id=self.id + suffix, samples=samples, items=items, types=types)


def random_id() -> str:
    """128 random bits as 32 hex digits."""
    return secrets.token_hex(16)


def ids_of(window_id: str) -> Callable[[], str]:
    """Gives the ids of a window's batches, one after the other: 24 random digits of the window's own, and a number."""
    return map("{}{:08x}".format, repeat(window_id), count()).__next__


def batches(window: Window, new_id: Callable[[], str] = random_id) -> Iterator[Batch]:
    """The batches of a window, made one by one. Each gets its id here, before anything is sent."""
    when = format_time(window.start)
    part, chosen, size = 0, list[tuple[WindowItem, str]](), 0
    for entry in window.items:  # not one more is taken before its batch is given: its samples would be nowhere
        text = item_to_json(entry.item, when)
        chosen.append((entry, text))
        size += len(text.encode()) + 1
        if len(chosen) == MAX_BATCH_ITEMS or size >= FULL_BYTES:
            yield _batch(new_id(), window.start, part, chosen)
            part, chosen, size = part + 1, [], 0
    if chosen:
        yield _batch(new_id(), window.start, part, chosen)


def _batch(batch_id: str, start: int, part: int, chosen: list[tuple[WindowItem, str]]) -> Batch:
    entries, texts = zip(*chosen, strict=True)
    samples = tuple(entry.samples for entry in entries)
    return Batch(batch_id, start, part, samples, texts, to_letters(entry.sent_as for entry in entries))
