"""The columns of an answer: what each operation makes of a window's summary and histogram. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from types import ModuleType
from typing import Final, NamedTuple, Protocol

import numpy as np

from central.compiled import CORE
from central.query.operations import WHOLE, need_histograms, percent_of
from central.query.percentiles import fraction_below, histograms_of, percentile, percentile_of_unmixed
from central.query.values import Values, nearest
from central.query.windows import Windows
from central.store.buckets import Buckets, Column
from central.store.distribution import Distribution, pieces_of, unmixed_of
from protocol.numbers import UNIT

_OF_SUMMARIES: Final[dict[str, Callable[[Buckets], Column]]] = {
    "sum": lambda summaries: summaries.totals,
    "count": lambda summaries: summaries.weights,
    "avg": lambda summaries: nearest(summaries.totals, summaries.weights, UNIT),
    "min": lambda summaries: summaries.lows,
    "max": lambda summaries: summaries.highs,
}


class Columns(Protocol):
    """What of a query says which columns its answer has."""

    @property
    def columns(self) -> Sequence[str]:
        """The operations, in the order of the columns."""

    @property
    def fraction_below(self) -> int | None:
        """The value below which a share is wanted, in units."""


class Answered(NamedTuple):
    """The windows with data of a query, or of a part of its range, with the values of each of its columns."""

    summaries: Buckets
    columns: Sequence[Values]


def joined(parts: Sequence[Answered]) -> Answered:
    """Join the parts of an answer, at least one. No window is in two of them."""
    if len(parts) == 1:
        return parts[0]
    summaries = Buckets(*map(np.concatenate, zip(*(part.summaries for part in parts), strict=True)))
    order: Column = np.lexsort((summaries.starts, summaries.metric_ids))
    columns = [
        Values(values.numbers[order], values.decimals, None if values.known is None else values.known[order])
        for values in map(_one_after_the_other, zip(*(part.columns for part in parts), strict=True))
    ]
    return Answered(summaries.at(order), columns)


def columns_of(
    query: Columns,
    found: Distribution,
    counters: Collection[int],
    windows: Windows,
    core: ModuleType | None = CORE,
) -> list[Values]:
    """The values of each column of the query, in its order.

    ``counters`` are the ids of the counters; ``windows`` hold every window of what was found.
    """
    made = _of_histograms(
        [name for name in query.columns if need_histograms([name])], query.fraction_below, found, core
    )

    def values(name: str) -> Values:
        if name == "rate":
            return _rates(found.buckets, counters, windows)
        percent = percent_of(name)
        return Values(_OF_SUMMARIES["min" if percent == 0 else "max" if percent == WHOLE else name](found.buckets))

    return [made[name] if name in made else values(name) for name in query.columns]


def _of_histograms(
    names: Sequence[str], below: int | None, found: Distribution, core: ModuleType | None
) -> dict[str, Values]:
    """Percentiles and shares of all windows: of most by the compiled core, of the others piece by piece."""
    percents = {name: percent_of(name) for name in names}
    if core is None or None in percents.values() or not len(found.spread.histograms.starts):
        return _added_up(percents, below, found)
    unmixed = unmixed_of(found)
    try:
        quick = {
            name: percentile_of_unmixed(unmixed, percent, core)
            for name, percent in percents.items()
            if percent is not None
        }
    except OverflowError:
        return _added_up(percents, below, found)
    if unmixed.rows.all():
        return quick
    others = _added_up(percents, below, unmixed.others)
    return {name: _put_together(unmixed.rows, quick[name], others[name]) for name in names}


def _added_up(percents: Mapping[str, int | None], below: int | None, found: Distribution) -> dict[str, Values]:
    """The percentile or share of each name, of all windows, made piece by piece."""
    if not percents:
        return {}
    parts: list[list[Values]] = []
    for piece in pieces_of(found):
        histograms = histograms_of(piece)
        parts.append(
            [
                fraction_below(histograms, below or 0) if percent is None else percentile(histograms, percent)
                for percent in percents.values()
            ]
        )
    return dict(zip(percents, map(_one_after_the_other, zip(*parts, strict=True)), strict=True))


def _put_together(rows: Column, some: Values, others: Values) -> Values:
    """``some`` where ``rows`` says so, and ``others`` elsewhere."""
    numbers = np.zeros(len(rows), dtype=np.result_type(some.numbers, others.numbers))
    known = np.zeros(len(rows), dtype=bool)
    for places, values in ((rows, some), (~rows, others)):
        numbers[places] = values.numbers
        known[places] = True if values.known is None else values.known
    return Values(numbers, some.decimals, known)


def _one_after_the_other(parts: Sequence[Values]) -> Values:
    """The values of parts as those of one column."""
    known = None if parts[0].known is None else np.concatenate([values.known for values in parts])
    return Values(np.concatenate([values.numbers for values in parts]), parts[0].decimals, known)


def _rates(summaries: Buckets, counters: Collection[int], windows: Windows) -> Values:
    """Per second over the length of each window: the sum of a counter, the samples of a value."""
    places = np.searchsorted(windows.starts, summaries.starts)
    seconds = (windows.ends - windows.starts)[places]
    of_counter = np.isin(summaries.metric_ids, list(counters))
    return Values(nearest(np.where(of_counter, summaries.totals, summaries.weights), seconds, 1))
