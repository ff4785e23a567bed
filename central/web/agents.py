"""GET /api/agents: what each agent of the fleet says of itself."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from central.access.auth import Key
from central.fleet.agents import Agents, ListedAgent
from central.ingest.answers import Answer
from central.query.parameters import check_known, fault, limit_of
from central.web.query import once
from protocol.times import format_time

_PARAMETERS: Final = frozenset({"after", "limit"})
_DIGITS: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class AgentEndpoints:
    """The endpoint that lists agents. It asks memory alone, so it also answers while the store is down."""

    agents: Agents

    async def list(self, request: web.Request, key: Key) -> Answer:
        """GET /api/agents."""
        after, limit = _page(once(request))
        found = self.agents.listed(after, limit + 1)
        shown = [_shown(told) for told in found[:limit]]
        following = shown[-1]["id"] if len(found) > limit else None
        body = {"success": True, "states": self.agents.states(), "data": shown, "next": following}
        return Answer(200, json.dumps(body).encode(), {})


def _page(parameters: Mapping[str, str]) -> tuple[str, int]:
    check_known(parameters, _PARAMETERS)
    after = parameters.get("after", "")
    if len(after) > 32 or not _DIGITS.issuperset(after):
        raise fault("after", "after must be the id of an agent, 32 hex digits")
    return after, limit_of(parameters)


def _shown(told: ListedAgent) -> dict[str, Any]:
    books, row = told.books, told.row
    return {
        "id": books.id,
        "host": books.host,
        "version": books.version,
        "key_id": row.key_id or None,
        "state": told.state,
        "started_at": format_time(books.started),
        "seen_at": format_time(row.seen_at),
        "names": books.names,
        "series": books.series,
        "received": books.received,
        "recovered": books.recovered,
        "acknowledged": books.acknowledged,
        "left_out": books.left_out,
        "in_window": books.in_window,
        "in_spool": books.in_spool,
        "spool_batches": books.spool_batches,
        "spool_bytes": books.spool_bytes,
        "clock_ahead": books.clock_ahead,
        "dropped": dict(books.dropped),
        "lost": dict(books.lost),
        "points_heard": told.acknowledged,
        "points_answered": told.answered,
        "missing_points": row.missing,
        "shared_id": told.shared,
    }
