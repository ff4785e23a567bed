"""Graphite's paths that find metrics: /graphite/metrics/..., /graphite/tags..., /graphite/version and /graphite/events.

Unlike other endpoints, they ignore parameters that they do not know: Graphite's clients send some that mean nothing
here.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import MultiDict, MultiMapping

from central.access.auth import Key
from central.errors import ApiError, unavailable
from central.fair_slots import FairSlots
from central.graphite.find import FORMATS, completed
from central.graphite.paths import OPERATIONS_OF, Finder
from central.graphite.regexes import compile_regex
from central.graphite.tags import NAME, key_of
from central.ingest.answers import Answer
from central.query.parameters import fault, parsed
from central.store.base import Page, Store, StoreError
from central.web.bodies import Bodies
from central.web.middleware import ENDS_WITH_CLIENT
from protocol.tags import KEY_RULE, is_key, is_value, quoted

T = TypeVar("T")
MOST_FOUND: Final = 10_000
"""How many nodes, names or series an answer may have."""
TAGS_LIMIT: Final = 100
"""How many keys or values are listed without ``limit``."""
VERSION: Final = "1.1.10"
"""The version of Graphite whose paths these are. Grafana asks for tags and functions from 1.1 on."""
_MOST_FIELDS: Final = 1_000
_MOST_QUERIES: Final = 20
"""How many patterns one request may expand. Each is a search with bounds of its own."""
_LARGE: Final = 2_000
"""Longer answers are written in a thread."""


@dataclass(frozen=True, slots=True)
class GraphiteEndpoints:
    """The endpoints that find metrics and series."""

    store: Store
    finder: Finder
    bodies: Bodies
    slots: FairSlots

    async def find(self, request: web.Request, key: Key) -> Answer:
        """GET and POST /graphite/metrics/find: the nodes that ``query`` means."""
        given = await parameters_of(request, key, self.bodies)
        query, form = _required(given, "query"), _choice(given, "format", tuple(FORMATS))
        leaves_only = _flag(given, "leavesOnly")
        if form == "completer":
            query = completed(query)
        finder = self.finder.within(key.prefixes)
        found = await self._ask(request, key, "query", lambda: finder.find(query, MOST_FOUND))
        nodes = [node for node in found if node.is_leaf or not leaves_only]
        return await _answer(lambda: FORMATS[form](nodes), len(nodes))

    async def expand(self, request: web.Request, key: Key) -> Answer:
        """GET and POST /graphite/metrics/expand: the paths that each ``query`` means."""
        given = await parameters_of(request, key, self.bodies)
        _required(given, "query")
        queries = list(dict.fromkeys(given.getall("query")))
        if len(queries) > _MOST_QUERIES:
            raise fault(
                "query", f"query may be given {_MOST_QUERIES} times, not {len(queries)}; use braces for several"
            )
        leaves_only, by_query = _flag(given, "leavesOnly"), _flag(given, "groupByExpr")
        finder = self.finder.within(key.prefixes)

        async def ask() -> dict[str, list[str]]:
            left, results = MOST_FOUND, {}
            for query in queries:
                nodes = await finder.find(query, left)
                left -= len(nodes)
                results[query] = sorted({node.path for node in nodes if node.is_leaf or not leaves_only})
            return results

        found = await self._ask(request, key, "query", ask)
        every = sorted({path for paths in found.values() for path in paths})
        return await _answer(lambda: {"results": found if by_query else every}, len(every))

    async def index(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/metrics/index.json: the paths of all leaves, if there are not too many names."""
        given = await parameters_of(request, key, self.bodies)
        _refuse_jsonp(given)
        finder = self.finder.within(key.prefixes)
        names = await self._ask(request, key, "query", lambda: finder.page(Page("", "", MOST_FOUND + 1)))
        if len(names) > MOST_FOUND:
            message = f"there are more than {MOST_FOUND:,} names; ask /graphite/metrics/find for some of them"
            raise ApiError(400, "RANGE_TOO_LARGE", message, details={"field": "index.json"})
        return await _answer(
            lambda: [f"{one.name}.{operation}" for one in names for operation in OPERATIONS_OF[one.kind]],
            len(names),
        )

    async def tags(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/tags: the keys of all tags, and 'name'."""
        given = await parameters_of(request, key, self.bodies)
        regex = parsed("filter", given.get("filter", ""), compile_regex)
        finder = self.finder.within(key.prefixes)
        keys = await self._ask(request, key, "filter", lambda: self._keys(finder, "", MOST_FOUND))
        return await _answer(lambda: [{"tag": one} for one in keys if regex.match(one)], len(keys))

    async def tag(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/tags/{tag}: the values of a tag."""
        given = await parameters_of(request, key, self.bodies)
        tag = _tag(request.match_info["tag"])
        regex, limit = parsed("filter", given.get("filter", ""), compile_regex), _limit(given, MOST_FOUND)
        finder = self.finder.within(key.prefixes)
        values = await self._ask(request, key, "tag", lambda: self._values(finder, tag, "", limit))
        return await _answer(
            lambda: {"tag": tag, "values": [{"value": one} for one in values if regex.match(one)]}, len(values)
        )

    async def complete_tags(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/tags/autoComplete/tags: the keys of the series that meet ``expr``, but for those in it."""
        given = await parameters_of(request, key, self.bodies)
        prefix, limit, expressions = given.get("tagPrefix", ""), _limit(given), _expressions(given)
        finder = self.finder.within(key.prefixes)

        async def ask() -> list[str]:
            if not expressions:
                return await self._keys(finder, prefix, limit)
            leaves = await finder.by_tags(expressions, MOST_FOUND)
            found = {tag for leaf in leaves for tag in leaf.tags if tag.startswith(prefix)}
            return sorted(found - {key_of(one) for one in expressions})[:limit]

        keys = await self._ask(request, key, "expr", ask)
        return await _answer(lambda: keys, len(keys))

    async def complete_values(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/tags/autoComplete/values: the values of ``tag`` of the series that meet ``expr``."""
        given = await parameters_of(request, key, self.bodies)
        tag, prefix, limit = _tag(_required(given, "tag")), given.get("valuePrefix", ""), _limit(given)
        expressions, finder = _expressions(given), self.finder.within(key.prefixes)

        async def ask() -> list[str]:
            if expressions:
                leaves = await finder.by_tags(expressions, MOST_FOUND)
                found = {leaf.tags[tag] for leaf in leaves if tag in leaf.tags}
                return sorted(value for value in found if value.startswith(prefix))[:limit]
            return await self._values(finder, tag, prefix, limit)

        values = await self._ask(request, key, "expr", ask)
        return await _answer(lambda: values, len(values))

    async def series(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/tags/findSeries: the paths of the series that meet all of ``expr``."""
        given = await parameters_of(request, key, self.bodies)
        limit, expressions = _limit(given, MOST_FOUND), _expressions(given) or [_required(given, "expr")]
        finder = self.finder.within(key.prefixes)
        leaves = await self._ask(request, key, "expr", lambda: finder.by_tags(expressions, MOST_FOUND))
        return await _answer(lambda: [leaf.path for leaf in leaves[:limit]], len(leaves))

    async def version(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/version."""
        return await _answer(lambda: VERSION, 1)

    async def events(self, request: web.Request, key: Key) -> Answer:
        """GET /graphite/events/get_data: none, as the service has no events."""
        _refuse_jsonp(await parameters_of(request, key, self.bodies))
        return await _answer(list, 0)

    async def _keys(self, finder: Finder, prefix: str, limit: int) -> list[str]:
        """The keys of all tags that the key may see, and 'name', in order."""
        if not prefix.isascii():
            return []
        if finder.limited:
            keys = [tag for tags in await finder.tags() for tag in tags if tag.startswith(prefix)]
        else:
            keys = await self.store.series.all_keys(prefix, limit)
        return sorted({*keys, *(one for one in (NAME,) if one.startswith(prefix))})[:limit]

    async def _values(self, finder: Finder, tag: str, prefix: str, limit: int) -> list[str]:
        """The values of a tag of all metrics that the key may see, in order."""
        if tag == NAME:
            return await finder.paths(prefix, limit)
        if finder.limited:
            return sorted({tags[tag] for tags in await finder.tags() if tag in tags and tags[tag].startswith(prefix)})[
                :limit
            ]
        return await self.store.series.all_values(tag, prefix, limit) if is_value(prefix) else []

    async def _ask(self, request: web.Request, key: Key, field: str, ask: Callable[[], Awaitable[T]]) -> T:
        """What ``ask`` returns, in a slot of the key. Its ValueErrors say what is wrong with ``field``."""
        request[ENDS_WITH_CLIENT] = True
        try:
            async with self.slots.slot(key.id):
                return await ask()
        except ValueError as error:
            raise fault(field, f"{field} {error}") from None
        except StoreError as error:
            raise unavailable(f"the names could not be searched: {error}") from error


async def parameters_of(request: web.Request, key: Key, bodies: Bodies) -> MultiMapping[str]:
    """The parameters of the address and those of a form in the body, which come first. Raises ApiError."""
    if request.method != "POST":
        return request.query
    pairs = await bodies.decode(request, key.id, _form)
    return MultiDict([*pairs, *request.query.items()])


def _form(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        message = f"the body must be a form in UTF-8 with at most {_MOST_FIELDS:,} fields, such as query=shop.*"
        raise fault("body", message) from None


async def _answer(make: Callable[[], Any], size: int) -> Answer:
    """What ``make`` returns as JSON. A long answer is made in a thread."""

    def written() -> bytes:
        return json.dumps(make(), separators=(",", ":"), ensure_ascii=False).encode(errors="backslashreplace")

    body = await asyncio.to_thread(written) if size > _LARGE else written()
    return Answer(200, body, {})


def _required(given: MultiMapping[str], field: str) -> str:
    _refuse_jsonp(given)
    text = given.get(field)
    if not text:
        raise fault(field, f"{field} is required")
    return text


def _refuse_jsonp(given: MultiMapping[str]) -> None:
    """A script of any page could read an answer that is a script."""
    if "jsonp" in given:
        raise fault("jsonp", "jsonp is not supported; read the answer as JSON")


def _choice(given: MultiMapping[str], field: str, allowed: Sequence[str]) -> str:
    text = given.get(field, allowed[0])
    if text not in allowed:
        raise fault(field, f"{field} must be one of {', '.join(allowed)}")
    return text


def _flag(given: MultiMapping[str], field: str) -> bool:
    return _choice(given, field, ("0", "1", "false", "true")) in {"1", "true"}


def _expressions(given: MultiMapping[str]) -> list[str]:
    """Some clients write ``expr[]`` where there may be several."""
    return [*given.getall("expr", []), *given.getall("expr[]", [])]


def _limit(given: MultiMapping[str], default: int = TAGS_LIMIT) -> int:
    text = given.get("limit", "0")
    if text in {"", "0"}:  # what some versions of Grafana send for none
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_FOUND)) and 1 <= int(text) <= MOST_FOUND):
        raise fault("limit", f"limit must be a whole number from 1 to {MOST_FOUND:,}")
    return int(text)


def _tag(text: str) -> str:
    if not is_key(text):
        raise fault("tag", f"tag: {quoted(text)} is no key of a tag; a key {KEY_RULE}")
    return text
