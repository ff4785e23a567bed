"""What must be stored, by name: kept beside the service by those who write, and compared with what it says. Pure.

Numbers are units of 0.0001, as in the store.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from protocol.numbers import UNIT


class Point(NamedTuple):
    """A point as it was sent; a plain sample has weight 1, and its value is low and high."""

    name: str
    weight: int
    total: int
    low: int
    high: int


@dataclass(slots=True)
class Sums:
    """What points add up to."""

    weight: int = 0
    total: int = 0
    low: int | None = None
    high: int | None = None

    def add(self, point: "Point | Sums") -> None:
        """Count a point, or other sums."""
        self.weight += point.weight
        self.total += point.total
        if point.low is not None and point.high is not None:
            self.low = point.low if self.low is None else min(self.low, point.low)
            self.high = point.high if self.high is None else max(self.high, point.high)


def plain(name: str, units: int) -> Point:
    """A plain sample."""
    return Point(name, UNIT, units, units, units)


@dataclass
class Oracle:
    """``certain`` was acknowledged, or answered so that the writer went on until it was. ``doubtful`` are points
    whose writer has no Idempotency-Key and got no clear answer: each of them may be stored, once, or not.
    """

    certain: dict[str, Sums] = field(default_factory=dict)
    doubtful: dict[str, list[Point]] = field(default_factory=dict)
    acknowledged: int = 0
    requests: int = 0

    def acknowledge(self, points: Iterable[Point]) -> None:
        """A request was answered with 201."""
        self.requests += 1
        for point in points:
            self.acknowledged += 1
            self.certain.setdefault(point.name, Sums()).add(point)

    def doubt(self, points: Iterable[Point]) -> None:
        """A request without a key broke off."""
        for point in points:
            self.doubtful.setdefault(point.name, []).append(point)
            self.certain.setdefault(point.name, Sums())

    def faults(self, place: str, stored: Mapping[str, Sums]) -> list[str]:
        """What ``place`` says that is not so; all names that were written must be in ``stored``, and no others."""
        found = [f"{place} has {name}, which nobody wrote" for name in sorted(stored.keys() - self.certain.keys())]
        for name, wanted in sorted(self.certain.items()):
            told, doubts = stored.get(name, Sums()), self.doubtful.get(name, [])
            if not (told == wanted if not doubts else fits(told, wanted, doubts)):
                extra = f" and up to {len(doubts)} in doubt" if doubts else ""
                found.append(f"{place}, {name}: acknowledged {wanted}{extra}, stored {told}")
        return found


def fits(told: Sums, wanted: Sums, doubts: list[Point]) -> bool:
    """Whether what is stored is what was acknowledged and some of the doubts, each at most once.

    Doubtful points of a name all have one value, so that their number tells.
    """
    more, rest = divmod(told.weight - wanted.weight, doubts[0].weight)
    return rest == 0 and 0 <= more <= len(doubts) and told.total == wanted.total + more * doubts[0].total
