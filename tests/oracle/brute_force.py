"""What a query must answer, by brute force over all that was sent: no rollup, no plan, no rounding of bounds. Pure.

A bound is an exact moment, in nanoseconds since the epoch. Numbers are exact decimals.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

SECOND: Final = 10**9
SIZES: Final = {"1m": 60, "5m": 300, "15m": 900, "1h": 3_600, "1d": 86_400}
OPERATIONS: Final = ("sum", "count", "avg", "min", "max")
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


class Sample(NamedTuple):
    """A point as it was sent, at a whole second; a plain one has the weight 1."""

    at: int
    total: Decimal
    weight: Decimal
    low: Decimal
    high: Decimal


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

    def answer(
        self, name: str, operation: str, windows: Windows, start: int, end: int
    ) -> Iterator[tuple[int, Decimal]]:
        """Start and value of each window that holds a sample within [start, end) that is not hidden."""
        by_window: dict[int, list[Sample]] = {}
        for sample in self.samples.get(name, ()):
            if start <= sample.at * SECOND < end and sample.at >= self.line:
                by_window.setdefault(windows.begin(sample.at), []).append(sample)
        for start_of, samples in sorted(by_window.items()):
            yield start_of, _VALUES[operation](samples)


def filled(
    points: Iterable[tuple[int, Decimal]], empty: Decimal | None, windows: Windows, bounds: tuple[int, int]
) -> Iterator[tuple[int, Decimal | None]]:
    """The points, and ``empty`` for each window of the bounds (in nanoseconds) that has none."""
    known = dict(points)
    start, end = (-(-bound // SECOND) for bound in bounds)
    at = windows.begin(start)
    while at < end:
        yield at, known.get(at, empty)
        at = windows.begin(at + windows.seconds * 3 // 2)  # a day may have an hour more or less


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
