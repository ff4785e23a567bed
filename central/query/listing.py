"""The list of metrics: which names are asked for, and how the answer shows them. Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from central.errors import invalid
from central.query.globs import Glob
from central.query.parameters import check_known, fault, limit_of, parse_match, parsed
from central.query.render import texts_of
from central.query.values import Values, nearest
from central.store.base import ListedName, NameDetails
from central.store.buckets import Buckets
from protocol.item import Fault
from protocol.names import NAME_RULE, is_name
from protocol.numbers import UNIT, divide_half_even, units_to_text
from protocol.times import format_time

SPARKLINE: Final = "24h"
HOURS: Final = 24
"""How many windows a sparkline has. The last one is the hour that runs."""
_HOUR: Final = 3_600
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))
_FLAGS: Final = ("true", "false")
_PARAMETERS: Final = frozenset(
    {"prefix", "search", "ignore_case", "match", "limit", "after", "clashes", "details", "sparkline"}
)


class Listing(NamedTuple):
    """A checked question for names. ``globs`` is None without a pattern; all other conditions hold besides."""

    prefix: str
    search: str
    ignore_case: bool
    globs: Sequence[Glob] | None
    after: str
    limit: int
    clashes: bool
    details: bool
    sparkline: bool

    def chosen(self, names: Iterable[str]) -> list[str]:
        """Those of the names that meet the conditions besides the pattern, and one more than the limit if there are."""
        wanted = self.search.lower() if self.ignore_case else self.search
        found = [
            name
            for name in names
            if name > self.after
            and name.startswith(self.prefix)
            and wanted in (name.lower() if self.ignore_case else name)
        ]
        return sorted(found)[: self.limit + 1]


class Hours(NamedTuple):
    """The windows of sparklines: their first start, and by name the JSON of each window's number, or null."""

    start: int
    texts: Mapping[str, Sequence[str]]


def parse_list(parameters: Mapping[str, str]) -> Listing:
    """Check the parameters of the list of metrics. Raises ApiError 400 that names the wrong one.

    Whoever searches wants to know more than the name: then ``details`` is true unless it is given.
    """
    check_known(parameters, _PARAMETERS)
    texts = {field: parameters.get(field, "") for field in ("prefix", "search", "after")}
    for field, text in texts.items():
        if text and not is_name(text):
            raise invalid(Fault("INVALID_NAME", field, f"{field} {NAME_RULE}"))
    globs = parsed("match", parameters["match"], parse_match) if "match" in parameters else None
    sparkline = parameters.get("sparkline")
    if sparkline not in {None, SPARKLINE}:
        raise fault("sparkline", f"sparkline must be {SPARKLINE}")
    clashes = _flag(parameters, "clashes", default=False)
    if clashes and globs is not None:
        raise fault("match", "give match or clashes, not both")
    searches = bool(texts["search"]) or globs is not None or sparkline is not None
    return Listing(
        **texts,
        globs=globs,
        ignore_case=_flag(parameters, "ignore_case", default=False),
        limit=limit_of(parameters),
        clashes=clashes,
        details=_flag(parameters, "details", default=searches),
        sparkline=sparkline is not None,
    )


def render_list(
    page: Sequence[ListedName],
    following: str | None,
    now: float,
    details: Mapping[str, NameDetails] | None = None,
    hours: Hours | None = None,
) -> bytes:
    """The answer. Every number has all its digits."""
    entries = [
        _entry(one, now, None if details is None else details.get(one.name), hours and hours.texts.get(one.name, ()))
        for one in page
    ]
    beside = {} if hours is None else {"sparkline": {"start": format_time(hours.start), "window": "1h"}}
    tail = _dumps({"next": following, **beside})
    return f'{{"success":true,"data":[{",".join(entries)}],{tail[1:]}'.encode()


def hours_of(start: int, details: Mapping[str, NameDetails], found: Buckets) -> Hours:
    """The last day by the hour, from ``start``. A page has 24,000 numbers, so arrays make and write them."""
    ids = {one.metric.id: row for row, one in enumerate(details.values())}
    counters = [one.metric.id for one in details.values() if one.metric.kind == "counter"]
    averages = nearest(found.totals, found.weights, UNIT)
    numbers = np.where(np.isin(found.metric_ids, counters), found.totals, averages)
    texts = np.full((len(ids), HOURS), "null", dtype=object)
    rows = [ids[key] for key in found.metric_ids.tolist()]
    texts[rows, (found.starts - start) // _HOUR] = texts_of(Values(numbers))
    return Hours(start, dict(zip(details, texts.tolist(), strict=True)))


def number_of(kind: str, weight: int, total: int) -> int:
    """What a window of a metric is, in units: the sum of a counter, the average of a value."""
    return total if kind == "counter" else divide_half_even(total * UNIT, weight)


def _entry(listed: ListedName, now: float, details: NameDetails | None, sparkline: Sequence[str] | None) -> str:
    shown: dict[str, Any] = {"name": listed.name, "type": listed.kind}
    if listed.owner is not None:
        shown["statsd_type"] = listed.owner
    if listed.clash_of is not None:
        shown["clash_of"] = listed.clash_of
    pieces = [_dumps(shown)[:-1]]
    if details is not None:
        seen = details.last_seen
        known = {
            "first_seen": format_time(details.first_seen),
            "last_seen": None if seen is None else format_time(seen),
            "age_seconds": None if seen is None else max(0, int(now) - seen),
        }
        last = number_of(listed.kind, details.weight, details.total) if details.weight else None
        pieces += [_dumps(known)[1:-1], f'"last_value":{_number(last)},"tags":{_dumps(details.keys)}']
    if sparkline is not None:
        pieces.append(f'"sparkline":[{",".join(sparkline)}]')
    return ",".join(pieces) + "}"


def _number(units: int | None) -> str:
    return "null" if units is None else units_to_text(units)


def _dumps(value: object) -> str:
    return _ENCODER.encode(value)


def _flag(parameters: Mapping[str, str], field: str, *, default: bool) -> bool:
    text = parameters.get(field, _FLAGS[not default])
    if text not in _FLAGS:
        raise fault(field, f"{field} must be true or false")
    return text == _FLAGS[0]
