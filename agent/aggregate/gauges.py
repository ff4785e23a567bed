"""Gauges: the last value wins, a signed value is a delta, and a gauge keeps its value over windows."""

from collections.abc import Iterator, Mapping, Sequence, Set
from decimal import Decimal
from itertools import islice
from typing import Final

from agent.aggregate.window import WindowItem
from protocol.item import Item
from protocol.numbers import to_units
from protocol.statsd import LIMIT, BadLineError, Value, parse_value
from protocol.statsd_tags import is_series

COPIED_AT_ONCE: Final = 8_000
"""Gauges that one step copies: some milliseconds. A dict of which many were deleted takes ten times as long at once."""
LISTED_AT_ONCE: Final = 1_000
"""Gauges that are listed together as the next ones that may be forgotten."""
_ZERO: Final = Decimal(0)


class Gauges:
    """The last value of at most ``capacity`` gauges, and which were touched in the open window.

    When there is no room for a new gauge, the one untouched for longest is forgotten. The next delta of a forgotten
    or removed gauge starts from 0. With ``deltas`` False a signed value is a plain value. The caller touches a new
    name only while fewer than ``capacity`` are touched, and works inside localcontext(EXACT).
    """

    def __init__(self, capacity: int, deltas: bool = True) -> None:
        self.forgotten = 0
        self._capacity = capacity
        self._deltas = deltas
        self._last: dict[str, Decimal] = {}  # longest untouched first
        self._touched: dict[str, int] = {}  # name -> samples of this window
        self._copy: dict[str, Decimal] | None = None
        self._oldest: Iterator[str] = iter(())
        """The next gauges that may be forgotten, the first one first. When it ends, it is made anew."""

    def __len__(self) -> int:
        """How many gauges were touched in this window."""
        return len(self._touched)

    def __contains__(self, name: str) -> bool:
        return name in self._touched

    @property
    def deltas(self) -> bool:
        """Whether a signed value is a delta, unless ``apply`` says ``absolute``."""
        return self._deltas

    def apply(self, name: str, values: Sequence[Value], times: int = 1, *, absolute: bool = False) -> int:
        """Set or change the gauge by each value in turn. Returns how many samples were refused.

        With ``absolute`` no value is a delta. A delta is refused, and changes nothing, when its result would be
        outside DECIMAL. Each value stands for ``times`` samples; that is 1 when a value is a delta.
        """
        value = self._last.get(name, _ZERO)
        taken, deltas = 0, self._deltas and not absolute
        for number, signed in values:
            result = value + number if signed and deltas else number
            if -LIMIT < result < LIMIT:
                value = result
                taken += times
        if taken:
            self._touch(name, value, taken)
        return len(values) * times - taken

    def _touch(self, name: str, value: Decimal, samples: int) -> None:
        if name not in self._touched:
            self._last.pop(name, None)
            if len(self._last) >= self._capacity:
                self._forget_one()
        self._last[name] = value
        self._touched[name] = self._touched.get(name, 0) + samples

    def _forget_one(self) -> None:
        """Forget the gauge that is untouched for longest.

        A dict finds its first entry slowly when many before it were deleted. So several are listed at once.
        """
        while True:
            for name in self._oldest:
                if name not in self._touched and name in self._last:
                    del self._last[name]
                    self.forgotten += 1
                    return
            self._oldest = iter(list(islice(self._last, LISTED_AT_ONCE)))

    def repeat(self, name: str, samples: int) -> None:
        """Count samples of a gauge of this window, of which the value is not the last one."""
        self._touched[name] += samples

    def remove(self, name: str) -> int:
        """Forget a gauge of this window. Returns its samples in this window."""
        del self._last[name]
        self.forgotten += 1
        return self._touched.pop(name)

    def names(self) -> Set[str]:
        """The gauges touched in this window, in the order of their first sample."""
        return self._touched.keys()

    def values(self) -> dict[str, Decimal]:
        """A copy of every gauge's last value, longest untouched first. It is ready after ``copying``."""
        copy, self._copy = self._copy, None
        return self._last.copy() if copy is None else copy

    def copying(self) -> Iterator[None]:
        """Make the copy for the next ``values`` in steps. No gauge may change until then."""
        if len(self._last) > COPIED_AT_ONCE:
            copy, left = dict[str, Decimal](), iter(self._last.items())
            while len(copy) < len(self._last):
                yield  # first: what was counted before is freed in a step of its own
                copy.update(islice(left, COPIED_AT_ONCE))
            self._copy = copy

    def close(self, start: int, values: Mapping[str, Decimal]) -> Iterator[WindowItem]:
        """One plain item for each gauge touched, made when the caller asks for it. ``values`` is what values() gave.

        The next window starts with no gauge touched. The last values stay.
        """
        touched, self._touched, self._oldest = self._touched, {}, iter(())
        return (
            WindowItem(Item(name, "value", to_units(values[name]), start), samples, "gauge")
            for name, samples in touched.items()
        )

    def restore(self, texts: Mapping[str, str]) -> int:
        """Take over values, exact decimal text, longest untouched first. Returns how many entries were bad.

        A gauge that is known already keeps its value, which is newer.
        """
        bad, restored = 0, dict[str, Decimal]()
        for name, text in texts.items():
            try:
                value = parse_value(str(text).encode())
                if not is_series(name):
                    raise ValueError(name)
            except (BadLineError, ValueError):
                bad += 1
                continue
            restored[name] = value.number
        self._last, self._oldest = restored | self._last, iter(())
        for name in list(islice(self._last, max(0, len(self._last) - self._capacity))):
            del self._last[name]
        return bad
