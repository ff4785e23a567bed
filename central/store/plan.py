"""Query planning: which table answers which part of a time range. Pure.

The edges of the range come from raw points, the parts next to them from the rollup by minute, and the middle from the
rollup by hour. So an exact answer does not cost more when there are more raw points.
"""

from typing import Final, Literal, NamedTuple

Level = Literal["raw", "minute", "hour"]
WIDTHS: Final[dict[str, int]] = {"minute": 60, "hour": 3_600}
"""Seconds of a bucket in the rollups of each level."""

WINDOWS: Final[dict[str, int]] = {"1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86_400}
MAX_WINDOWS_PER_NAME: Final = 11_000
MAX_WINDOWS_PER_ANSWER: Final = 50_000


class Segment(NamedTuple):
    """A half-open range of seconds and the table that answers it."""

    level: Level
    start: int
    end: int


def plan(start: int, end: int, window: int) -> list[Segment]:
    """Segments in order that cover each second of [start, end) once. ``window`` is in seconds, at least a minute."""
    segments: list[Segment] = []
    _cover(segments, start, end, (("raw", 60), ("minute", 3600), ("hour", 0)), hours=window >= WINDOWS["1h"])
    return segments


def _cover(into: list[Segment], start: int, end: int, levels: tuple[tuple[Level, int], ...], *, hours: bool) -> None:
    """Cover [start, end): the edges with the first level, and the whole coarser units inside with the next levels."""
    if start >= end:
        return
    level, coarser = levels[0]
    inner_start = -(-start // coarser) * coarser if coarser else 0
    inner_end = end // coarser * coarser if coarser else 0
    if inner_start >= inner_end or (level == "minute" and not hours):
        into.append(Segment(level, start, end))
        return
    if start < inner_start:
        into.append(Segment(level, start, inner_start))
    _cover(into, inner_start, inner_end, levels[1:], hours=hours)
    if inner_end < end:
        into.append(Segment(level, inner_end, end))


def windows_touched(start: int, end: int, window: int) -> int:
    """How many windows of ``window`` seconds overlap [start, end). Windows are aligned to the epoch."""
    return -(-end // window) - start // window


def window_that_fits(start: int, end: int, names: int) -> str | None:
    """The finest window whose answer stays within both limits, or None."""
    for label, seconds in WINDOWS.items():
        touched = windows_touched(start, end, seconds)
        if touched <= MAX_WINDOWS_PER_NAME and touched * names <= MAX_WINDOWS_PER_ANSWER:
            return label
    return None
