"""How samples are spread over their values: percentiles by REST, and all histograms by SQL, beside the oracle's."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from central.store.mysql.packed import minutes_of
from protocol.histogram import bucket_of, decode
from protocol.numbers import UNIT
from tests.soak.oracle import ANY_DAY, Oracle

Ask = Callable[[str], Sequence[tuple[Any, ...]]]
"""Runs a statement and returns its rows."""
PERCENTS: Final = ("0", "1", "25", "50", "90", "99", "99.9", "100")
MERGED: Final = {"histogram_minute": "histogram", "histogram_hour": "histogram"}
"""The tables of merged histograms that both stores have, and the column of each."""
PACKED: Final = {"histogram_minute_packed": "histograms"}
"""The tables whose rows hold all minutes of an hour."""
_SERIES: Final = (
    "SELECT id, name FROM metrics WHERE type = 'value'"
    " UNION ALL SELECT series.id, CONCAT(name, '|', CAST(tags AS CHAR))"
    " FROM series INNER JOIN metrics ON metrics.id = metric_id WHERE type = 'value'"
)


class Percentiles(NamedTuple):
    """What an answer says of a name or series on a day: its percentiles in units, in the order of PERCENTS."""

    name: str
    day: int
    values: list[int]


def percentile_faults(place: str, stored: Iterable[Percentiles], oracle: Oracle) -> list[str]:
    """Percentiles more than 1/256 off the true sample, or of a day without samples. p0 and p100 must be exact."""
    faults = []
    for name, day, values in stored:
        samples = oracle.samples.get((name, day)) or oracle.samples.get((name, ANY_DAY))
        if samples is None:
            faults.append(f"{place}, {name}: percentiles of day {day}, on which there is no sample")
            continue
        for percent, value, true in zip(PERCENTS, values, ranked(samples), strict=True):
            near = 0 if percent in {"0", "100"} else abs(true)
            if abs(value - true) * 256 > near:
                faults.append(f"{place}, {name}: p{percent} of day {day} is {value}, and the sample is {true}")
    return faults


def ranked(samples: Mapping[int, int]) -> list[int]:
    """The sample at each of PERCENTS: the smallest at or below which so much of the weight lies."""
    total, reached = sum(samples.values()), 0
    found: list[int] = []
    needed = [Decimal(percent) * total for percent in PERCENTS]
    for value in sorted(samples):
        reached += samples[value] * 100
        while len(found) < len(needed) and needed[len(found)] <= reached:
            found.append(value)
    return found


def histogram_faults(ask: Ask, points: str, oracle: Oracle, merged: Mapping[str, str] = MERGED) -> list[str]:
    """Raw points whose buckets are not those of the samples, and histograms that do not weigh what their row says.

    ``points`` is a table of all raw points, ``merged`` are those of merged histograms with their columns.
    """
    wanted: dict[str, Counter[int]] = defaultdict(Counter)
    for (name, _), samples in oracle.samples.items():
        for value, weight in samples.items():
            wanted[name][bucket_of(value)] += weight
    stored, faults = _raw(ask, points, wanted)
    faults += [f"raw histograms of {name} are not its samples" for name in wanted if stored[name] != wanted[name]]
    for table, column in merged.items():
        weigh = _weight_of_minutes if table in PACKED else _weight
        rows = ask(
            f"SELECT name, samples, {column} FROM {table} INNER JOIN ({_SERIES}) AS known ON known.id = metric_id"
        )
        faults += [
            f"a row of {table} of {name} weighs {weigh(content)} units, not {samples} samples"
            for name, samples, content in rows
            if name in wanted and weigh(content) != _units(samples)
        ]
    return faults


def _raw(ask: Ask, points: str, names: Mapping[str, Any]) -> tuple[dict[str, Counter[int]], list[str]]:
    """The weight of each bucket of these names and series, and what is wrong with single points."""
    stored: dict[str, Counter[int]] = defaultdict(Counter)
    faults = []
    for column in ("metric_id", "series_id"):
        for name, value, samples, histogram in ask(
            f"SELECT known.name, value, samples, histogram FROM {points} AS points"
            f" INNER JOIN ({_SERIES}) AS known ON known.id = points.{column}"
        ):
            if name not in names:
                continue
            if samples is None:
                stored[name][bucket_of(_units(value))] += UNIT
                continue
            if _weight(histogram) != _units(samples):
                faults.append(f"a point of {name} has a histogram of {_weight(histogram)} units for {samples} samples")
            stored[name].update(dict(_buckets(histogram)))
    return stored, faults


def _weight(histogram: bytes | None) -> int:
    return sum(weight for _, weight in _buckets(histogram))


def _weight_of_minutes(packed: bytes) -> int:
    return sum(_weight(histogram) for _, histogram in minutes_of(packed))


def _buckets(histogram: bytes | None) -> Iterator[tuple[int, int]]:
    return iter(decode(bytes(histogram)).items() if histogram else ())


def _units(number: object) -> int:
    return int(Decimal(str(number)) * UNIT)
