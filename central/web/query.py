"""GET /api/metrics/aggregate."""

import asyncio
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final

from aiohttp import web

from central.access.auth import Key
from central.access.prefixes import check_names
from central.errors import ApiError, invalid, unavailable
from central.fair_slots import FairSlots, SlotBounds
from central.graphite.paths import Finder
from central.ingest.answers import Answer
from central.ingest.names import Names
from central.query.columns import Answered, columns_of, joined
from central.query.formats import COMPLETE_HEADER, TYPES, UNKNOWN_HEADER
from central.query.groups import Choice, groups_of, largest, of_groups, whole_names
from central.query.operations import need_extremes, need_histograms
from central.query.parameters import (
    MOST_MATCHED,
    Query,
    check_groups,
    check_kinds,
    check_known,
    fault,
    parse_query,
    with_matched,
)
from central.query.render import Notes, render
from central.query.windows import Windows, fold, fold_spread, not_whole, spans, start_of_window, windows_between
from central.retention import Retention
from central.spill.spill import Spill
from central.store.base import Metric, Page, Store, StoreError
from central.store.buckets import no_buckets
from central.store.distribution import Distribution, no_spread
from central.store.plan import Segment, plan, windows_touched
from central.web.middleware import ABOUT, ENDS_WITH_CLIENT
from protocol.item import Fault
from protocol.times import format_time

_LARGE: Final = 2_000
"""Answers with more numbers are written in a thread, so that ten large ones at once do not delay the ingest."""
_MANY_HISTOGRAMS: Final = 200
"""The same for answers from more histograms."""
_HISTOGRAMS_AT_ONCE: Final = 50_000
"""So many histograms are read at once, of all names. It bounds the memory: with 500 buckets each they take 50 MB. A
window is always of one moment, and all windows are if they are read at once."""
QUERIES: Final = "queries"
SLOTS: Final = SlotBounds(at_once=3, of_one_key=1, waiting=256, waiting_of_one_key=64)
"""The slots for queries. A key takes one core of the machine at most, and another key does not wait for it. All panels
of a large dashboard may wait."""
_MAX_LOGGED_NAMES: Final = 20
MOST_UNKNOWN: Final = 3
"""For how many unknown names of a query similar names are searched."""
MOST_LOOKED_AT: Final = 1_000
MOST_STEPS: Final = 500_000
"""How many rows of the store a query in a time zone may add up."""
_HEADER_LENGTH: Final = 4_000
MOST_SERIES: Final = 10_000
"""Of how many series one query may be."""
_DAY: Final = 86_400


@dataclass(slots=True)
class _QueryLog:
    """What the log says about a slow or failed query. ``rows`` is None until the store has answered."""

    query: Query
    segments: Sequence[Segment] = ()
    rows: int | None = None

    def fields(self) -> dict[str, Any]:
        """The fields of the log line."""
        query = self.query
        return {
            "names": query.names[:_MAX_LOGGED_NAMES],
            "names_in_all": len(query.names),
            "operation": ",".join(query.columns),
            "window": query.window,
            "start": format_time(query.start),
            "end": format_time(query.end),
            "segments": [f"{s.level} {format_time(s.start)} {format_time(s.end)}" for s in self.segments],
            "rows": self.rows,
        }


@dataclass(frozen=True, slots=True)
class QueryEndpoints:
    """The endpoints that read. ``spill`` knows whether acknowledged points may be missing from an answer."""

    store: Store
    names: Names
    retention: Retention
    spill: Spill | None
    slots: FairSlots
    finder: Finder
    clock: Callable[[], float]

    async def aggregate(self, request: web.Request, key: Key) -> Answer:
        """The handler of an aggregate query."""
        request[ENDS_WITH_CLIENT] = True
        query = parse_query(
            once(request), self.clock(), start_of_window, ",".join(request.headers.getall("Accept", []))
        )
        run = asyncio.get_running_loop().run_in_executor
        query_log = _QueryLog(query)
        request[ABOUT] = query_log.fields
        partial = may_lack_points(self.spill)
        check_names(key.prefixes, query.names)
        try:
            # Points before the line are hidden. A local day that the line cuts is marked as partial.
            start = max(query.start, await self.retention.visible_from())
            query, matched = await self._matched(query, key)
            query_log.query = query
            metrics = await self.names.find(query.names)
            check_kinds(query, {name: metric.kind for name, metric in metrics.items()})
            unknown = await self._nearest([name for name in query.names if name not in metrics], key)
            unknown |= {} if matched else {request.query["match"]: []}
            choice = await self._choose(query, metrics, start, key)
            ask = functools.partial(windows_between, query.start, query.end, query.seconds, query.zone)
            # One slot for all that a query costs: to write a large answer takes longer than to ask the store for it.
            async with self.slots.slot(key.id):
                windows = ask() if query.zone is None else await run(None, ask)
                _check_steps(query, windows, len(choice.lines))
                query_log.segments = plan(start, query.end, windows.step) if choice.groups else []
                at_once = _at_once(query, windows, len(choice.lines))
                pieces = spans(windows, start, query.end, at_once) if choice.groups else ()
                parts = [await self._read(query, choice, windows, span) for span in pieces]
                found = joined(parts or [_answered(query, (), Distribution(no_buckets(), no_spread()), windows)])
                if query.group_by is not None:
                    choice = choice.with_data(found.summaries)
                query_log.rows = len(found.summaries.starts)
                notes = Notes(partial, unknown, not_whole(windows, start, query.end, self.clock()))
                draw = functools.partial(render, query, choice.lines, *found, notes)
                drawn = max(query_log.rows, len(choice.lines) * len(windows.starts) * (query.fill is not None))
                body = await run(None, draw) if drawn * len(query.columns) > _LARGE else draw()
        except StoreError as error:
            raise unavailable(f"the query could not be answered: {error}") from error
        return Answer(200, body, _headers(query, notes))

    async def _matched(self, query: Query, key: Key) -> tuple[Query, bool]:
        """The query with the names that its patterns mean, and whether they mean any. Raises ApiError."""
        if query.globs is None:
            return query, True
        async with self.slots.slot(key.id):
            try:
                found = await self.finder.within(key.prefixes).metrics(query.globs, MOST_MATCHED)
            except ValueError as error:
                raise fault("match", f"match {error}; a query may be of {MOST_MATCHED:,}") from None
        return with_matched(query, {name: metric.kind for metrics in found for name, metric in metrics}), any(found)

    async def _choose(self, query: Query, metrics: Mapping[str, Metric], start: int, key: Key) -> Choice:
        """What the answer has a line for: the names, or the groups of their series. Raises ApiError for too many."""
        if not query.by_series:
            return whole_names(query.names, metrics)
        found, left = [], MOST_SERIES
        async with self.slots.slot(key.id):
            for name in filter(metrics.__contains__, query.names):
                metric, filters = metrics[name], query.filters or ()
                series = await self.store.series.select(metric.id, filters, 0, left + 1)
                left -= len(series)
                if left < 0:
                    raise _too_many_series(query)
                group = functools.partial(groups_of, series, filters, query.group_by or ())
                large = len(series) > _LARGE
                groups = await asyncio.get_running_loop().run_in_executor(None, group) if large else group()
                found.append((name, metric, groups))
            choice = of_groups(found)
            segments = plan(start, query.end, _DAY)  # none where all of the range is hidden
            if query.top is not None and segments:
                summaries = await self.store.aggregate(choice.groups, _DAY, segments, extremes=False)
                choice = largest(choice, summaries, query.top)
        check_groups(query, len(choice.lines))
        return choice

    async def _read(self, query: Query, choice: Choice, windows: Windows, span: tuple[int, int]) -> Answered:
        """The windows of a part of the range, of one snapshot. Reads histograms only if a column needs them."""
        groups = choice.groups
        segments = plan(*span, windows.step)
        if need_histograms(query.columns):
            found = await self.store.distribute(groups, windows.step, segments)
        else:
            extremes = need_extremes(query.columns)
            summaries = await self.store.aggregate(groups, windows.step, segments, extremes=extremes)
            found = Distribution(summaries, no_spread())
        make = functools.partial(_answered, query, choice.counters, found, windows)
        large = len(found.buckets.starts) > _LARGE or len(found.spread.histograms.starts) > _MANY_HISTOGRAMS
        return await asyncio.get_running_loop().run_in_executor(None, make) if large else make()

    async def _nearest(self, unknown: Sequence[str], key: Key) -> dict[str, list[str]]:
        """Names that do not exist, each with similar names among at most MOST_LOOKED_AT that begin like it."""
        found: dict[str, list[str]] = {name: [] for name in unknown}
        for name in unknown[:MOST_UNKNOWN]:
            head = name[: name.find(".") + 1] or name[:2]
            for prefix in dict.fromkeys((name[: len(name) * 3 // 4], head, name[:1], "")):
                async with self.slots.slot(key.id):
                    page = await self.finder.within(key.prefixes).page(Page(prefix, "", MOST_LOOKED_AT))
                    names = [one.name for one in page]
                    alike = functools.partial(get_close_matches, name, names, n=3, cutoff=0.7)
                    found[name] = await asyncio.get_running_loop().run_in_executor(None, alike)
                if found[name]:
                    break
        return found


def _at_once(query: Query, windows: Windows, lines: int) -> int:
    """How many windows of the range are read at once: all, or with histograms so many as bound the memory."""
    if not need_histograms(query.columns):
        return max(1, len(windows.starts))
    of_window = lines * -(-query.seconds // windows.step)
    return max(1, _HISTOGRAMS_AT_ONCE // max(1, of_window))


def _answered(query: Query, counters: Sequence[int], found: Distribution, windows: Windows) -> Answered:
    if query.zone is not None:
        found = Distribution(fold(found.buckets, windows), fold_spread(found.spread, windows))
    return Answered(found.buckets, columns_of(query, found, counters, windows))


def _too_many_series(query: Query) -> ApiError:
    field = "tags" if query.filters is not None else "group_by"
    message = (
        f"{field}: more than {MOST_SERIES:,} series are chosen; give tags that choose fewer, such as tags=env:prod"
    )
    return ApiError(400, "RANGE_TOO_LARGE", message, details={"field": field})


def _check_steps(query: Query, windows: Windows, lines: int) -> None:
    """Raise ApiError if a query in a time zone needs too many rows: it reads a day by the hour, or finer."""
    steps = windows_touched(query.start, query.end, windows.step) * max(1, lines)
    if query.zone is not None and steps > MOST_STEPS:
        message = "the range is too long for a query with tz; ask for a shorter range, for fewer names, or without tz"
        raise ApiError(400, "RANGE_TOO_LARGE", message, details={"field": "tz", "windows": steps})


def may_lack_points(spill: Spill | None) -> bool:
    """Whether an answer may lack acknowledged points. Ask before you read: the answer may miss what is drained then."""
    return spill is not None and spill.may_hide


def completeness(partial: bool) -> dict[str, str]:
    """The header of an answer that may lack acknowledged points."""
    return {COMPLETE_HEADER: "false"} if partial else {}


def unknown_names(unknown: Iterable[str]) -> dict[str, str]:
    """The header of an answer that names what does not exist."""
    text = ",".join(unknown)[:_HEADER_LENGTH]
    return {UNKNOWN_HEADER: text} if text else {}


def _headers(query: Query, notes: Notes) -> dict[str, str]:
    """The headers of an answer. They repeat "complete" and "unknown", for which CSV has no place."""
    made = {"Vary": "Accept", **completeness(notes.partial), **unknown_names(notes.unknown)}
    if query.format in TYPES:
        made["Content-Type"] = TYPES[query.format]
    return made


def asked_with(request: web.Request, *allowed: str) -> Mapping[str, str]:
    """The query's parameters. Raises ApiError if one is given twice, or is none of ``allowed``."""
    given = once(request)
    check_known(given, frozenset(allowed))
    return given


def once(request: web.Request) -> Mapping[str, str]:
    """The query's parameters. Raises ApiError if one is given twice."""
    parameters = dict(request.query)
    if len(parameters) != len(request.query):
        twice = next(name for name in parameters if len(request.query.getall(name)) > 1)
        raise invalid(Fault("VALIDATION_ERROR", twice[:80], f"{twice[:80]} was given more than once"))
    return parameters
