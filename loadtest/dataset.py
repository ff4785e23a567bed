"""A set of points given by a formula, so that the right answer of a query over any of it is known.

Point i of name n lies i/points_per_name into the days and has the value (7919 i + 104729 n) mod 1,000,000 hundredths.
"""

from typing import Final, NamedTuple

import numpy as np

DAY: Final = 86_400
STEP, SHIFT, VALUES = 7_919, 104_729, 1_000_000
CENTS: Final = 100
"""Units of 0.0001 in the hundredths that values are counted in."""


class Dataset(NamedTuple):
    """``names`` names with ids from 1, each with ``per_name`` points evenly over ``days`` whole UTC days."""

    names: int
    per_name: int
    start: int
    days: int

    @property
    def points(self) -> int:
        """How many points all names have together."""
        return self.names * self.per_name

    @property
    def end(self) -> int:
        """The second after the last point."""
        return self.start + self.days * DAY

    def name(self, number: int) -> str:
        """The name of the id ``number``; stores give ids in the order of names."""
        return f"load.app.metric{number:07d}"

    def at(self, point: str) -> str:
        """SQL for the second of the point with this number. Replace ``//`` if a server spells it differently."""
        return f"({self.start} + {point} * {self.days * DAY} // {self.per_name})"

    def first(self, day: int) -> int:
        """The number of the first point of a day."""
        return -(-day * self.per_name // self.days)

    def total(self, number: int) -> tuple[int, int]:
        """Count, and sum in hundredths, of all points of a name."""
        values = (np.arange(self.per_name, dtype=np.int64) * STEP + SHIFT * number) % VALUES
        return self.per_name, int(values.sum())


def value(point: str, name: str) -> str:
    """SQL of a point's value in hundredths."""
    return f"(({point} * {STEP} + {name} * {SHIFT}) % {VALUES})"
