"""The StatsD types of a batch's items, in a header beside the body, and the names of items whose types clash.

    Metrics-Statsd-Types: cct-gs        a letter for each item, in order; "-" for an item without a StatsD type

Central has two types and StatsD has four, and programs use one name for several of them. The first type to come gets
the name. Samples of other types are stored under ``name.counter``, ``name.timing``, ``name.gauge`` or ``name.set``.
docs/decisions/0014-a-clash-costs-a-suffix.md says why this is a header and not a field of the item.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from protocol.item import Kind
from protocol.limits import MAX_NAME_LENGTH
from protocol.statsd import MetricType

TYPES_HEADER: Final = "Metrics-Statsd-Types"
RENAMED_HEADER: Final = "Metrics-Renamed"
"""In an answer: the names under which items were stored instead of their own, at most MAX_RENAMED names."""
MAX_RENAMED: Final = 20
KIND_OF: Final[dict[MetricType, Kind]] = {"counter": "counter", "timing": "value", "gauge": "value", "set": "value"}
_LETTER_OF: Final[dict[MetricType, str]] = {"counter": "c", "timing": "t", "gauge": "g", "set": "s"}
_TYPE_OF: Final[dict[str, MetricType | None]] = {"-": None, **{letter: name for name, letter in _LETTER_OF.items()}}


def to_letters(types: Iterable[MetricType]) -> str:
    """The header for these items."""
    return "".join(_LETTER_OF[name] for name in types)


def from_letters(text: str, items: int) -> list[MetricType | None]:
    """The types in the header of a batch of ``items`` items. Raises ValueError with the fault."""
    if len(text) != items:
        raise ValueError(f"must have a letter for each of the {items} items; it has {len(text)}")
    if not _TYPE_OF.keys() >= set(text):
        raise ValueError("must be of the letters c, t, g, s (counter, timing, gauge, set) and -")
    return [_TYPE_OF[letter] for letter in text]


def name_of_clash(name: str, sent_as: MetricType) -> str | None:
    """The name for samples whose own name belongs to another type. None when that would be too long."""
    longer = f"{name}.{sent_as}"
    return longer if len(longer) <= MAX_NAME_LENGTH else None


def shown(stored: Sequence[str]) -> str:
    """The Metrics-Renamed header for items that were stored under these names instead of their own."""
    return ",".join(stored[:MAX_RENAMED])
