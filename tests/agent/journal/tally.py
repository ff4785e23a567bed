"""What was sent or stored, added up by name, tags and histogram, so that both can be compared to the last digit."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from protocol import histogram
from protocol.numbers import UNIT, to_units

GAUGES: Final = frozenset({"up", "up.tagged", "last", "last.tagged"})
"""Gauges that only grow. What counts is their last value, because how many windows have one is chance."""
SETS: Final = frozenset({"members", "members.tagged"})
"""Sets whose members come once each, so that the sizes of all windows add up."""
TIMINGS: Final = frozenset({"timed", "timed.tagged", "timed.sampled", "packed"})

Tags = Mapping[str, str]
Key = tuple[str, tuple[tuple[str, str], ...]]
"""A name and its tags in order."""


@dataclass(slots=True)
class Total:
    """Of one name with one set of tags. All numbers are units of protocol.numbers."""

    value: int = 0
    weight: int = 0
    low: int = 0
    high: int = 0
    buckets: Counter[int] = field(default_factory=Counter)

    def add(self, value: int, weight: int, low: int, high: int, buckets: Mapping[int, int]) -> None:
        """Add samples. ``value`` is their sum, and ``buckets`` has the weight in each bucket of a histogram."""
        self.low = min(self.low, low) if self.weight else low
        self.high = max(self.high, high) if self.weight else high
        self.value += value
        self.weight += weight
        self.buckets.update(buckets)


class Tally(dict[Key, Total]):
    """Totals by name and tags."""

    def add(self, name: str, values: Sequence[Decimal | int], rate: Decimal, tags: Tags, times: int = 1) -> None:
        """Add a line that was sent ``times`` times."""
        units, weight = [to_units(Decimal(value)) for value in values], to_units(1 / rate)
        buckets: Counter[int] = Counter()
        for one in units if name in TIMINGS else ():
            buckets[histogram.bucket_of(one)] += weight * times
        total = sum(units) * weight // UNIT * times
        self._add(name, tags, total, (len(units) * weight * times, min(units), max(units)), buckets)

    def _add(
        self, name: str, tags: Tags, value: int, summary: tuple[int, int, int], buckets: Mapping[int, int]
    ) -> None:
        one = self.setdefault((name, tuple(sorted(tags.items()))), Total())
        if name in GAUGES:
            one.high = max(one.high, value)
        elif name in SETS:
            one.value += value
        else:
            one.add(value, *summary, buckets)

    def set_to(self, name: str, value: int, tags: Tags) -> None:
        """A gauge has this value now."""
        self._add(name, tags, value * UNIT, (0, 0, 0), {})

    def grow(self, name: str, more: int, tags: Tags) -> None:
        """A gauge has grown, or a set has so many more members."""
        if name in GAUGES:
            more += self.setdefault((name, tuple(sorted(tags.items()))), Total()).high // UNIT
        self._add(name, tags, more * UNIT, (0, 0, 0), {})


def tally_of(batches: Iterable[Iterable[Mapping[str, Any]]]) -> Tally:
    """What a service has stored, from the items of its batches as JSON."""
    found = Tally()
    for items in batches:
        for item in items:
            units = {
                name: to_units(Decimal(str(item[name]))) for name in ("value", "count", "min", "max") if name in item
            }
            value = units["value"]
            summary = units.get("count", UNIT), units.get("min", value), units.get("max", value)
            buckets: Mapping[int, int] = {}
            if "histogram" in item:
                buckets = histogram.decode(histogram.from_text(item["histogram"]))
            elif item["name"] in TIMINGS:
                buckets = {histogram.bucket_of(value): UNIT}  # a single sample needs none
            found._add(item["name"], item.get("tags", {}), value, summary, buckets)
    return found


def differences(found: Tally, sent: Tally) -> dict[Key, tuple[Total | None, Total | None]]:
    """What is not equal: found and sent, by name and tags."""
    return {
        key: (found.get(key), sent.get(key)) for key in found.keys() | sent.keys() if found.get(key) != sent.get(key)
    }


def in_words(found: Mapping[Key, tuple[Total | None, Total | None]]) -> str:
    """The differences in values and weights: what was found more than sent."""
    lines = []
    for (name, tags), (one, two) in sorted(found.items()):
        more, less = one or Total(), two or Total()
        value, weight, high = more.value - less.value, more.weight - less.weight, more.high - less.high
        lines.append(f"{name} {dict(tags)}: value {value:+,}, weight {weight:+,}, highest {high:+,}")
    return "in units of 10^-4:\n" + "\n".join(lines)
