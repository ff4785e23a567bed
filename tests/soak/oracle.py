"""What must be stored, by name and by series: kept by those who write, and compared with what the service says. Pure.

Numbers are units of 0.0001, as in the store.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from protocol.numbers import UNIT

ANY_DAY: Final = -1
"""Stands for the day of points that are the same on every day."""


class Point(NamedTuple):
    """A point as it was sent; a plain sample has weight 1, and its value is low and high.

    ``tags`` are in canonical form. ``values`` are the samples in it, each with its weight, where percentiles are to
    be compared; ``day`` is then the days since the epoch.
    """

    name: str
    weight: int
    total: int
    low: int
    high: int
    tags: str = ""
    day: int = ANY_DAY
    values: tuple[tuple[int, int], ...] = ()

    def counts_for(self) -> tuple[str, ...]:
        """The keys under which this point counts: its name, and its series if it has tags."""
        return (self.name, series_of(self.name, self.tags)) if self.tags else (self.name,)


def series_of(name: str, tags: str) -> str:
    """The key of a series. No name has such a text."""
    return f"{name}|{tags}"


@dataclass(slots=True)
class Sums:
    """The sums of some points."""

    weight: int = 0
    total: int = 0
    low: int | None = None
    high: int | None = None

    def add(self, point: "Point | Sums", times: int = 1) -> None:
        """Count a point, or other sums, so many times."""
        self.weight += point.weight * times
        self.total += point.total * times
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
    samples: dict[tuple[str, int], Counter[int]] = field(default_factory=dict)
    """The weight of each value of a name or series on a day, for those whose percentiles are compared."""
    acknowledged: int = 0
    requests: int = 0

    def acknowledge(self, points: Iterable[Point]) -> None:
        """A request was answered with 201."""
        self.requests += 1
        for point in points:
            self.acknowledged += 1
            self.count(point)

    def count(self, point: Point, times: int = 1) -> None:
        """A point is stored, so many times."""
        for name in point.counts_for():
            self.certain.setdefault(name, Sums()).add(point, times)
            for value, weight in point.values:
                self.samples.setdefault((name, point.day), Counter())[value] += weight * times

    def doubt(self, points: Iterable[Point]) -> None:
        """A request without a key broke off."""
        for point in points:
            self.doubtful.setdefault(point.name, []).append(point)
            self.certain.setdefault(point.name, Sums())

    @property
    def names(self) -> list[str]:
        """All names that somebody wrote."""
        return sorted(name for name in self.certain if "|" not in name)

    @property
    def tagged(self) -> list[str]:
        """The names that have series."""
        return sorted({name.partition("|")[0] for name in self.certain if "|" in name})

    @property
    def timings(self) -> list[str]:
        """The names whose percentiles are compared."""
        return sorted({name for name, _ in self.samples if "|" not in name})

    def sum_faults(self, place: str, series: Mapping[str, Sums]) -> list[str]:
        """Names whose series, and their samples without tags, do not add up to the name."""
        found = []
        for name in self.tagged:
            total = Sums()
            for sums in (sums for one, sums in series.items() if one.startswith(f"{name}|")):
                total.add(sums)
            if total != self.certain[name]:
                found.append(f"{place}, {name}: acknowledged {self.certain[name]}, its series add up to {total}")
        return found

    def faults(self, place: str, stored: Mapping[str, Sums]) -> list[str]:
        """Where ``stored``, as ``place`` shows it, differs. It must have all names and series, and no others."""
        found = [f"{place} has {name}, which nobody wrote" for name in sorted(stored.keys() - self.certain.keys())]
        for name, wanted in sorted(self.certain.items()):
            found_sums, doubts = stored.get(name, Sums()), self.doubtful.get(name, [])
            if not (found_sums == wanted if not doubts else fits(found_sums, wanted, doubts)):
                extra = f" and up to {len(doubts)} in doubt" if doubts else ""
                found.append(f"{place}, {name}: acknowledged {wanted}{extra}, stored {found_sums}")
        return found


def fits(found_sums: Sums, wanted: Sums, doubts: list[Point]) -> bool:
    """Whether what is stored is what was acknowledged and some of the doubts, each at most once.

    Doubtful points of a name all have one value, so that their number tells.
    """
    more, rest = divmod(found_sums.weight - wanted.weight, doubts[0].weight)
    return rest == 0 and 0 <= more <= len(doubts) and found_sums.total == wanted.total + more * doubts[0].total
