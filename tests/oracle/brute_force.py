"""What a query must answer, by brute force over all that was sent: no rollup, no plan, no rounding of bounds. Pure.

A bound is an exact moment, in nanoseconds since the epoch. Numbers are exact decimals.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from types import MappingProxyType
from typing import Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

T = TypeVar("T")
SECOND: Final = 10**9
SIZES: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
OPERATIONS: Final = ("sum", "count", "avg", "min", "max", "rate")
"""Those that every window has. ``percentile_bounds`` and ``shares_below`` are for values."""
_EXACT: Final = Context(prec=80, rounding=ROUND_HALF_EVEN)
_LAST_DIGIT: Final = Decimal("0.0001")


class Windows(NamedTuple):
    """Windows of so many seconds, those of hours and days by the clocks of a zone."""

    seconds: int
    zone: ZoneInfo | None = None

    def begin(self, at: int) -> int:
        """The start of the window that holds a second: the last whole hour or midnight that the zone's clocks show."""
        if self.zone is None or self.seconds < 3_600:
            return at // self.seconds * self.seconds
        local = datetime.fromtimestamp(at, self.zone).replace(minute=0, second=0)
        return int((local if self.seconds == 3_600 else local.replace(hour=0)).timestamp())

    def end(self, start: int) -> int:
        """The start of the next window: a day may have an hour more or less."""
        return self.begin(start + self.seconds * 3 // 2)


class Sample(NamedTuple):
    """A point as it was sent, at a whole second; a plain one has the weight 1.

    ``values`` are the values in its histogram, each with its weight. A plain sample needs no histogram; a summary that
    was sent without one has None. A sample whose series was deleted is ``orphaned``: it counts in its name alone.
    """

    at: int
    total: Decimal
    weight: Decimal
    low: Decimal
    high: Decimal
    values: tuple[tuple[Decimal, Decimal], ...] | None
    tags: Mapping[str, str] = MappingProxyType({})
    orphaned: bool = False


def plain(at: int, value: Decimal) -> Sample:
    """A sample that is no summary."""
    return Sample(at, value, Decimal(1), value, value, ((value, Decimal(1)),))


def by_window(samples: Iterable[Sample], windows: Windows) -> list[tuple[int, list[Sample]]]:
    """Start and samples of each window that holds one of them."""
    found: dict[int, list[Sample]] = {}
    for sample in samples:
        found.setdefault(windows.begin(sample.at), []).append(sample)
    return sorted(found.items())


@dataclass
class Sent:
    """All that was acknowledged and not deleted since, by name."""

    samples: dict[str, list[Sample]] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    line: int = 0
    """Points before this second are hidden."""

    def add(self, name: str, kind: str, sample: Sample) -> bool:
        """Count a sample; False where the name has the other type, and nothing is counted."""
        if self.kinds.setdefault(name, kind) != kind:
            return False
        self.samples.setdefault(name, []).append(sample)
        return True

    def delete(self, name: str) -> bool:
        """Forget a name; False when there is none."""
        self.samples.pop(name, None)
        return self.kinds.pop(name, None) is not None

    def delete_series(self, name: str, tags: Mapping[str, str]) -> bool:
        """Forget a series, but not its samples in the total of its name; False when there is none."""
        samples = self.samples.get(name, [])
        found = [place for place, one in enumerate(samples) if one.tags == tags and not one.orphaned]
        for place in found:
            samples[place] = samples[place]._replace(orphaned=True)
        return bool(found)

    def within(self, name: str, start: int, end: int) -> list[Sample]:
        """The samples of a name within [start, end) that are not hidden."""
        samples = self.samples.get(name, ())
        return [one for one in samples if start <= one.at * SECOND < end and one.at >= self.line]

    def windows(self, name: str, windows: Windows, start: int, end: int) -> list[tuple[int, list[Sample]]]:
        """Start and samples of each window that holds one of those."""
        return by_window(self.within(name, start, end), windows)

    def value(self, name: str, operation: str, samples: list[Sample], seconds: int) -> Decimal:
        """What one of OPERATIONS gives for the samples of a window of so many seconds."""
        if operation == "rate":
            counted = _sum(samples) if self.kinds[name] == "counter" else _count(samples)
            return _EXACT.divide(counted, Decimal(seconds)).quantize(_LAST_DIGIT, context=_EXACT)
        return _VALUES[operation](samples)


def filled(
    points: Iterable[tuple[int, T]], windows: Windows, bounds: tuple[int, int]
) -> Iterator[tuple[int, T | None]]:
    """The points, and None for each window of the bounds (in nanoseconds) that has none."""
    known = dict(points)
    start, end = (-(-bound // SECOND) for bound in bounds)
    at = windows.begin(start)
    while at < end:
        yield at, known.get(at)
        at = windows.end(at)


def percentile(samples: list[Sample], percent: Decimal) -> Decimal | None:
    """The smallest value at or below which at least so many percent of the weight lie; None if a value is not known."""
    values = _values(samples)
    if percent in (0, 100):
        return (_VALUES["max"] if percent else _VALUES["min"])(samples)
    if values is None:
        return None
    needed, reached = _count(samples) * percent, Decimal(0)
    for value, weight in sorted(values):
        reached += weight
        if reached * 100 >= needed:
            return value
    raise AssertionError("the weights add up to less than the count")


def percentile_bounds(samples: list[Sample], percent: Decimal) -> tuple[Decimal, Decimal] | None:
    """The least and the most that an answer may be: 1/256 beside the true sample; p0 and p100 are exact."""
    true = percentile(samples, percent)
    if true is None:
        return None
    near = Decimal(0) if percent in (0, 100) else _EXACT.divide(abs(true), Decimal(256))
    return true - near, true + near


def shares_below(samples: list[Sample], value: Decimal) -> tuple[Decimal, Decimal] | None:
    """The least and the most that may be said of the share below a value; None if a value is not known.

    The least leaves out what may be in the value's own bucket, which is at most 1/128 of it wide.
    """
    low, high = _VALUES["min"](samples), _VALUES["max"](samples)
    if value <= low or high < value:
        return (Decimal(0), Decimal(0)) if value <= low else (Decimal(1), Decimal(1))
    values = _values(samples)
    if values is None:
        return None
    near = value - _EXACT.divide(abs(value), Decimal(128))
    least, most = (sum((weight for one, weight in values if one < bound), Decimal(0)) for bound in (near, value))
    return _EXACT.divide(least, _count(samples)), _EXACT.divide(most, _count(samples))


def _values(samples: list[Sample]) -> list[tuple[Decimal, Decimal]] | None:
    """All values with their weights; None if a sample came without them."""
    found: list[tuple[Decimal, Decimal]] = []
    for sample in samples:
        if sample.values is None:
            return None
        found += sample.values
    return found


def _sum(samples: list[Sample]) -> Decimal:
    total = Decimal(0)
    for sample in samples:
        total = _EXACT.add(total, sample.total)
    return total


def _count(samples: list[Sample]) -> Decimal:
    return sum((sample.weight for sample in samples), Decimal(0))


def _average(samples: list[Sample]) -> Decimal:
    return _EXACT.divide(_sum(samples), _count(samples)).quantize(_LAST_DIGIT, context=_EXACT)


_VALUES: Final[dict[str, Callable[[list[Sample]], Decimal]]] = {
    "sum": _sum,
    "count": _count,
    "avg": _average,
    "min": lambda samples: min(sample.low for sample in samples),
    "max": lambda samples: max(sample.high for sample in samples),
}
