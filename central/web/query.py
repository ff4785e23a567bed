"""GET /api/metrics/aggregate and GET /api/metrics."""

import asyncio
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from central.access.auth import Key
from central.errors import invalid, unavailable
from central.ingest.answers import Answer
from central.ingest.names import Names
from central.query.formats import CSV
from central.query.parameters import Query, parse_list, parse_query
from central.query.render import render
from central.retention import Retention
from central.spill.spill import Spill
from central.store.base import ListedName, Store, StoreError
from central.store.buckets import no_buckets
from central.store.plan import Segment, plan, windows_touched
from central.web.middleware import ABOUT, ENDS_WITH_CLIENT
from central.web.turns import TurnBounds, Turns
from protocol.item import Fault
from protocol.times import format_time

_LARGE: Final = 2_000
"""From here on an answer is drawn beside the loop: of ten that come at once none may hold up the ingest."""
QUERIES: Final = "queries"
TURNS: Final = TurnBounds(at_once=3, of_one_key=2, waiting=64, waiting_of_one_key=16)
"""Of queries: another key always finds one that is free, or waits for one query at most."""
_NAMES_TOLD: Final = 20


@dataclass(slots=True)
class _Asked:
    """What the log says of a query that was slow or that failed; ``rows`` is None where the store gave none."""

    query: Query
    segments: Sequence[Segment] = ()
    rows: int | None = None

    def facts(self) -> dict[str, Any]:
        """Plain values for a log line."""
        asked = self.query
        return {
            "names": asked.names[:_NAMES_TOLD],
            "names_in_all": len(asked.names),
            "operation": asked.operation,
            "window": asked.window,
            "start": format_time(asked.start),
            "end": format_time(asked.end),
            "segments": [f"{part.level} {format_time(part.start)} {format_time(part.end)}" for part in self.segments],
            "rows": self.rows,
        }


@dataclass(frozen=True, slots=True)
class QueryEndpoints:
    """Reads. ``spill`` tells whether an answer may lack what waits there."""

    store: Store
    names: Names
    retention: Retention
    spill: Spill | None
    turns: Turns

    async def aggregate(self, request: web.Request, key: Key) -> Answer:
        """The handler of an aggregate query."""
        request[ENDS_WITH_CLIENT] = True
        query = parse_query(_once(request), ",".join(request.headers.getall("Accept", [])))
        told = _Asked(query)
        request[ABOUT] = told.facts
        spill = self.spill
        partial = spill is not None and spill.may_hide  # looked at before: what is drained meanwhile may be missed
        try:
            # Points before the line are hidden. It is a day's start, so no window is cut in two.
            start = max(query.start, await self.retention.visible_from())
            ids = {name: metric.id for name, metric in (await self.names.find(query.names)).items()}
            told.segments = segments = plan(start, query.end, query.seconds) if ids else []
            buckets = no_buckets()
            if segments:
                async with self.turns.turn(key.id):
                    buckets = await self.store.aggregate(list(ids.values()), query.seconds, segments)
        except StoreError as error:
            raise unavailable(f"the query could not be answered: {error}") from error
        told.rows = windows = len(buckets.starts)
        if query.fill is not None:
            windows = windows_touched(query.start, query.end, query.seconds) * len(query.names)
        draw = functools.partial(render, query, ids, buckets, partial=partial)
        large = windows > _LARGE
        body = await asyncio.get_running_loop().run_in_executor(None, draw) if large else draw()
        return Answer(200, body, _headers(csv=query.csv, partial=partial))

    async def list(self, request: web.Request, key: Key) -> Answer:
        """The handler of the list of metrics."""
        request[ENDS_WITH_CLIENT] = True
        prefix, after, limit, clashes = parse_list(_once(request))
        try:
            async with self.turns.turn(key.id):
                found = await self.store.names.page(prefix, after, limit + 1, clashes=clashes)
        except StoreError as error:
            raise unavailable(f"the list could not be read: {error}") from error
        page = found[:limit]
        body = {
            "success": True,
            "data": [_listed(name) for name in page],
            "next": page[-1].name if len(found) > limit else None,
        }
        return Answer(200, json.dumps(body, separators=(",", ":")).encode(), {})


def _listed(found: ListedName) -> dict[str, str]:
    """A name as the list shows it."""
    shown: dict[str, str] = {"name": found.name, "type": found.kind}
    if found.owner is not None:
        shown["statsd_type"] = found.owner
    if found.clash_of is not None:
        shown["clash_of"] = found.clash_of
    return shown


def _headers(*, csv: bool, partial: bool) -> dict[str, str]:
    """Headers of an answer. CSV has no place for "complete", so both formats say it here too."""
    made = {"Vary": "Accept"}
    if csv:
        made["Content-Type"] = CSV
    if partial:
        made["Metrics-Complete"] = "false"
    return made


def _once(request: web.Request) -> Mapping[str, str]:
    """The query's parameters, each given once."""
    parameters = dict(request.query)
    if len(parameters) != len(request.query):
        twice = next(name for name in parameters if len(request.query.getall(name)) > 1)
        raise invalid(Fault("VALIDATION_ERROR", twice[:80], f"{twice[:80]} was given more than once"))
    return parameters
