"""What the application sends to an agent: one packet, over and over, with and without tags, sampled or not. Pure."""

from decimal import Decimal
from typing import Final, NamedTuple

from protocol.numbers import UNIT, to_units
from tests.soak.oracle import ANY_DAY, Point


class Line(NamedTuple):
    """A line of StatsD. ``rate`` is a text such as "0.5"; ``tags`` are in canonical form, which a line takes too."""

    metric: str
    values: tuple[str, ...]
    kind: str
    rate: str = "1"
    tags: str = ""

    def text(self, prefix: str) -> str:
        """The line as it is sent."""
        rate = f"|@{self.rate}" if self.rate != "1" else ""
        tags = f"|#{self.tags}" if self.tags else ""
        return f"{prefix}.{self.metric}:{':'.join(self.values)}|{self.kind}{rate}{tags}"

    def points(self, prefix: str) -> list[Point]:
        """Its samples. A rate stands for more of them, and multiplies what a counter counts."""
        weight = UNIT * UNIT // to_units(Decimal(self.rate))
        values = [to_units(Decimal(value)) for value in self.values]
        spreads = [() if self.kind == "c" else ((value, weight),) for value in values]
        return [
            Point(f"{prefix}.{self.metric}", weight, value * weight // UNIT, value, value, self.tags, ANY_DAY, spread)
            for value, spread in zip(values, spreads, strict=True)
        ]


LINES: Final = (
    Line("count", ("1",), "c"),
    Line("time", ("2.5",), "ms"),
    Line("hits", ("3",), "c", tags="env:prod,path:/a"),
    Line("hits", ("1",), "c", "0.5", tags="env:dev"),
    Line("hits", ("1",), "c"),
    Line("took", ("1.5", "20.25", "300", "0.0123"), "ms", tags="env:prod,path:/a"),
    Line("took", ("7.25",), "h", "0.5", tags="env:dev"),
    Line("took", ("9",), "d"),
)
SAMPLES: Final = sum(len(line.values) for line in LINES)
"""How many samples a packet has, as the agent counts them."""


def packet(prefix: str) -> str:
    """The packet of the application with this prefix."""
    return "\n".join(line.text(prefix) for line in LINES)


def points(prefix: str) -> list[Point]:
    """The points of a packet."""
    return [point for line in LINES for point in line.points(prefix)]
