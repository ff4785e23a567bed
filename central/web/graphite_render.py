"""Graphite's paths that draw: /graphite/render and /graphite/functions.

Like Graphite's other paths, they ignore parameters that they do not know.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from central.access.auth import Key
from central.errors import ApiError, unavailable
from central.fair_slots import FairSlots
from central.graphite.evaluate import Budget, Node, Want, evaluate, resolve
from central.graphite.fetch import Fetcher
from central.graphite.functions.table import FUNCTIONS
from central.graphite.lines import Line
from central.graphite.paths import Finder
from central.graphite.render import Drawing, RequestError, drawn, parse_drawing
from central.graphite.targets import Expression, TargetError
from central.ingest.answers import Answer
from central.query.formats import CSV
from central.query.parameters import fault
from central.retention import Retention
from central.spill.spill import Spill
from central.store.base import Store, StoreError
from central.web.bodies import Bodies
from central.web.graphite import parameters_of
from central.web.middleware import ENDS_WITH_CLIENT
from central.web.query import completeness, may_lack_points

_TYPES: Final = {"csv": CSV, "raw": "text/plain; charset=utf-8"}
"""The Content-Type of each form but JSON."""
_SECONDS: Final = 30
"""How long one request may read."""


@dataclass(frozen=True, slots=True)
class DrawingParts:
    """What the endpoints use."""

    store: Store
    finder: Finder
    retention: Retention
    spill: Spill | None
    bodies: Bodies
    slots: FairSlots
    clock: Callable[[], float]


class GraphiteDrawing:
    """The endpoints that compute lines."""

    def __init__(self, parts: DrawingParts) -> None:
        self._parts = parts

    async def render(self, request: web.Request, key: Key) -> Answer:
        """GET and POST /graphite/render: the lines of each ``target``, from ``from`` to ``until``."""
        request[ENDS_WITH_CLIENT] = True
        parts = self._parts
        given = await parameters_of(request, key, parts.bodies)
        try:
            drawing = parse_drawing(given, parts.clock())
            nodes = [_resolved(text, tree, drawing) for text, tree in drawing.targets]
        except RequestError as error:
            raise fault(error.field, str(error)) from None
        headers = completeness(may_lack_points(parts.spill))
        try:
            visible_from = await parts.retention.visible_from()
            fetcher, budget = Fetcher(parts.store, parts.finder.within(key.prefixes), visible_from), Budget()
            async with parts.slots.slot(key.id):
                async with asyncio.timeout(_SECONDS):
                    nodes, found = await fetcher.fetch_all(nodes, budget)
                body = await asyncio.to_thread(_drawn, drawing, nodes, found, budget)
        except TimeoutError:
            message = f"the targets take longer than {_SECONDS} seconds; ask for a shorter range, or for fewer lines"
            raise ApiError(400, "RANGE_TOO_LARGE", message, details={"field": "target"}) from None
        except ValueError as error:
            raise fault("target", f"target {error}") from None
        except StoreError as error:
            raise unavailable(f"the targets could not be computed: {error}") from error
        if drawing.form in _TYPES:
            headers["Content-Type"] = _TYPES[drawing.form]
        return Answer(200, body, headers)

    async def functions(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/functions: what each function takes and does."""
        return _json({name: function.described() for name, function in FUNCTIONS.items()})


def _resolved(text: str, tree: Expression, drawing: Drawing) -> Node:
    try:
        return resolve(tree, drawing.span)
    except TargetError as error:
        raise RequestError("target", f"target {text[:80]!r}: {error}") from None


def _drawn(drawing: Drawing, nodes: list[Node], found: dict[Want, list[Line]], budget: Budget) -> bytes:
    """Evaluate and write all targets. It runs in a thread. Raises TargetError."""
    lines: list[Line] = []
    for (text, _), node in zip(drawing.targets, nodes, strict=True):
        try:
            lines += evaluate(node, found, budget)
        except TargetError as error:
            raise TargetError(f"{text[:80]!r}: {error}") from None
    budget.take_lines(lines)
    return drawn(drawing, lines)


def _json(value: object) -> Answer:
    return Answer(200, json.dumps(value, separators=(",", ":")).encode(), {})
