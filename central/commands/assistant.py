"""The tools of ``fiesta-central mcp``: what an assistant may ask. They only read, over REST, with a key of scope query.

Answers are the service's own JSON, with all digits. An error says what would be right, so that the assistant can mend
its question.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any, Final
from urllib.parse import quote

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import ToolAnnotations

from central.client import Client, ClientError

INSTRUCTIONS: Final = (
    "Metrics of this company: counters and values by dotted name, with tags. Find names first, then aggregate. Numbers "
    "are exact, and percentiles are within 0.4 %. A window that is marked partial is cut or has not ended. Before you "
    "call a drop in a metric a fault of the application, ask what was lost."
)
MOST_LETTERS: Final = 200_000
"""Of one answer: more does not help an assistant."""
_FINDING: Final = ("check", "status", "message", "advice")
_READS: Final = ToolAnnotations(read_only_hint=True)
_LOSSES: Final = re.compile(
    r"^(fiesta_(?:items_rejected|turned_away|busy|groups_failed|spill_refused|spill_in_doubt|drain_rejected|drain_bad"
    r"|series_overflow_points)_total(?:\{[^}]*\})?) (\S+)$",
    re.MULTILINE,
)
_OF_AGENTS: Final = ("host", "version", "state", "seen_at", "received", "dropped", "lost", "missing_points")
Given = dict[str, str | int | None]
Findings = Callable[[], AsyncIterator[tuple[str, ...]]]
"""The checks of ``fiesta-central doctor``, each as check, status, message and advice."""


def make_server(client: Client, findings: Findings | None) -> MCPServer[Any]:
    """The server for one service. Without ``findings``, the service is elsewhere, and says itself how it is."""
    server: MCPServer[Any] = MCPServer("glowing-fiesta", instructions=INSTRUCTIONS, log_level="WARNING")
    tools = Tools(client, findings)
    for tool in (tools.find_names, tools.tags_of, tools.aggregate, tools.what_was_lost, tools.check_service):
        server.add_tool(tool, annotations=_READS)
    return server


class Tools:
    """The docstring of each tool tells the assistant what it does."""

    def __init__(self, client: Client, findings: Findings | None) -> None:
        self._client = client
        self._findings = findings

    async def find_names(self, search: str = "", match: str = "", limit: int = 50, after: str = "") -> str:
        """Find metrics. ``search``: any part of a name, in any case. ``match``: a pattern such as shop.*.count.

        For each name: its type, when it was first and last seen, its last value and its age, and the keys of its tags.
        ``next`` in the answer is the ``after`` for the following names; null at the end.
        """
        given: Given = {"search": search, "match": match, "limit": limit, "after": after, "details": "true"}
        return await self._ask("/api/metrics", given | {"ignore_case": "true" if search else None})

    async def tags_of(self, name: str, key: str = "", prefix: str = "") -> str:
        """The keys of a metric's tags; or with ``key``, the values of that key that begin with ``prefix``."""
        path = "/".join(quote(part, safe="") for part in (name, "tags", key) if part)
        return await self._ask(f"/api/metrics/{path}", {"prefix": prefix if key else None})

    async def aggregate(  # noqa: PLR0913, PLR0917 - the parameters of the API, each by its name
        self, names: str, operations: str = "sum", window: str = "1h", start: str = "-24h", end: str = "now",
        tags: str = "", group_by: str = "", top: int = 0, fraction_below: str = "", tz: str = "",
    ) -> str:  # fmt: skip
        """One number per window. ``names``: one or several, with commas between.

        ``operations``: sum, count, avg, min, max, rate, median, p95, p99.9 and so on, with commas between; only a
        value metric has percentiles. ``window``: 1m, 5m, 15m, 1h or 1d. ``start``, ``end``: -24h, now or
        2026-02-15T00:00:00Z. ``tags``: env:prod,host:web-*,!canary:*. ``group_by``: keys of tags; ``top`` keeps the
        largest groups. ``fraction_below``: the share of samples below this value. ``tz``: a zone for windows of days.
        """
        given: Given = {"name": names, "operation": operations, "window": window, "start": start, "end": end}
        more: Given = {"tags": tags, "group_by": group_by, "top": top, "fraction_below": fraction_below, "tz": tz}
        return await self._ask("/api/metrics/aggregate", given | more)

    async def what_was_lost(self) -> str:
        """What was dropped or refused, and why: in the service since its start, and at each agent since its start.

        The agents' part needs a key of scope admin.
        """
        text = await self._ask("/metrics", {})
        found: dict[str, Any] = {"service": {name: float(value) for name, value in _LOSSES.findall(text)}}
        try:
            answer = await asyncio.to_thread(self._client.get, "/api/agents", {"limit": "1000"})
            found["agents"] = [{field: agent[field] for field in _OF_AGENTS} for agent in answer["data"]]
        except ClientError as error:
            found["agents"] = str(error)
        return json.dumps(found, default=float)

    async def check_service(self) -> str:
        """Whether the service works, and what to do where it does not: the findings of its doctor."""
        if self._findings is not None:
            return json.dumps([dict(zip(_FINDING, one, strict=True)) async for one in self._findings()])
        try:
            _, answer = await asyncio.to_thread(self._client.status, "/ready")
        except ClientError as error:
            raise ToolError(str(error)) from None
        return json.dumps(answer, default=float)

    async def _ask(self, path: str, parameters: Given) -> str:
        """The text of an answer. Parameters that say nothing are left out. Raises ToolError."""
        given = {name: str(value) for name, value in parameters.items() if value not in (None, "", 0)}
        try:
            text = await asyncio.to_thread(self._client.get_text, path, given)
        except ClientError as error:
            raise ToolError(str(error)) from None
        if len(text) > MOST_LETTERS:
            raise ToolError(f"the answer has {len(text):,} letters; ask for a larger window, fewer names or less time")
        return text
