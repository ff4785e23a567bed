"""The requests of stock Grafana's Graphite data source, as its public source makes them (12.3, without a plugin).

The page of Grafana makes those of a picker, of variables and of the tag editor. Its server makes those of panels and
alerts. All go through Grafana's server, which adds basic authentication.
"""

import base64
import re
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from tests.central.harness import Central, Reply

FORM: Final = {"Content-Type": "application/x-www-form-urlencoded"}
RANGE: Final = {"from": "-6h", "until": "now"}
"""What becomes of a dashboard's now-6h and now."""


@dataclass(frozen=True)
class Grafana:
    """A data source whose address is the service's /graphite, and whose password is a key."""

    central: Central
    key: str

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        """A request as Grafana's server sends it on."""
        password = base64.b64encode(f"grafana:{self.key}".encode()).decode()
        headers = {"Authorization": f"Basic {password}", "Accept": "application/json, text/plain, */*"}
        headers |= options.pop("headers", {})
        return await self.central.ask(method, f"/graphite{path}", key=None, headers=headers, **options)

    async def got(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of a good answer."""
        reply = await self.ask(method, path, **options)
        assert reply.status == 200, reply.text
        return reply.json

    async def find(self, query: str) -> list[tuple[str, bool]]:
        """The picker: text and whether it can be opened. The page does not encode the body."""
        found = await self.got(
            "POST", f"/metrics/find?{urlencode(RANGE)}", data=f"query={query}".encode(), headers=FORM
        )
        return [(node["text"], bool(node["expandable"])) for node in found]

    async def render(self, target: str, start: int, end: int, points: int = 100) -> list[dict[str, Any]]:
        """A panel, an alert, or the check of the data source, as Grafana's server asks."""
        form = {"from": start, "until": end, "format": "json", "maxDataPoints": points, "target": _minutes(target)}
        found = await self.got("POST", "/render", data=urlencode(form), headers=FORM)
        assert isinstance(found, list)
        return found

    async def expand(self, query: str) -> list[str]:
        """The variable query expand(...)."""
        found = await self.got("GET", "/metrics/expand", params={"query": query, **RANGE}, headers=FORM)
        return [str(path) for path in found["results"]]

    async def complete(self, what: str, *expressions: str, **parameters: str) -> list[str]:
        """The tag editor, and the variable queries tags(...) and tag_values(...)."""
        pairs = [*(("expr", one) for one in expressions), *parameters.items(), *RANGE.items()]
        found = await self.got("GET", f"/tags/autoComplete/{what}", params=pairs)
        return [str(text) for text in found]

    async def variable(self, query: str) -> list[str]:
        """The values of a variable of type query."""
        if found := re.fullmatch(r"tag_values\((.*)\)", query):
            tag, *expressions = [part.strip() for part in re.split(r",(?![^{]*\})", found[1]) if part]
            return await self.complete("values", *expressions, tag=tag, limit="10000")
        if found := re.fullmatch(r"tags\((.*)\)", query):
            expressions = [part.strip() for part in found[1].split(",") if part]
            return await self.complete("tags", *expressions, limit="10000")
        if found := re.fullmatch(r"expand\((.*)\)", query):
            return await self.expand(found[1])
        return [text for text, _ in await self.find(query)]


def _minutes(target: str) -> str:
    """Grafana writes '5m' as '5min', and '1M' as '1mon'."""
    return re.sub(r"'(\d+)M'", r"'\1mon'", re.sub(r"'(\d+)m'", r"'\1min'", target))


def filled(text: str, values: dict[str, list[str]]) -> str:
    """A text with variables as Grafana fills them in; one that is none is a KeyError."""

    def fill(found: re.Match[str]) -> str:
        chosen = values[found[1]]
        if found[2] == "pipe":
            return "|".join(chosen)
        return chosen[0] if len(chosen) == 1 else "{" + ",".join(chosen) + "}"

    return re.sub(r"\$\{?(\w+)(?::(\w+))?\}?", fill, text)
