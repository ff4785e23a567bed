"""GET /api/metrics: the names, by prefix, by any part or by pattern, with what is known of each."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from central.access.auth import Key
from central.access.prefixes import Prefixes, covers
from central.errors import unavailable
from central.fair_slots import FairSlots
from central.graphite.paths import Finder
from central.ingest.answers import Answer
from central.query.listing import HOURS, Hours, Listing, hours_of, parse_list, render_list
from central.query.parameters import fault
from central.retention import Retention
from central.spill.spill import Spill
from central.store.base import IdGroup, ListedName, NameDetails, Page, Search, Store, StoreError
from central.store.plan import plan
from central.web.middleware import ENDS_WITH_CLIENT
from central.web.query import completeness, may_lack_points, once

MOST_MATCHED: Final = 100_000
"""How many names a pattern may mean."""
_HOUR: Final = 3_600
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class ListEndpoint:
    """The list of metrics."""

    store: Store
    finder: Finder
    retention: Retention
    spill: Spill | None
    slots: FairSlots
    clock: Callable[[], float]

    async def answer(self, request: web.Request, key: Key) -> Answer:
        """The handler."""
        request[ENDS_WITH_CLIENT] = True
        asked = parse_list(once(request))
        now = self.clock()
        headers = completeness((asked.details or asked.sparkline) and may_lack_points(self.spill))
        try:
            async with self.slots.slot(key.id):
                return Answer(200, await self._answer(asked, now, key.prefixes), headers)
        except StoreError as error:
            raise unavailable(f"the list could not be read: {error}") from error

    async def _answer(self, asked: Listing, now: float, prefixes: Prefixes) -> bytes:
        finder = self.finder.within(prefixes)
        end = int(now) // _HOUR * _HOUR + _HOUR
        since = max(end - HOURS * _HOUR, await self.retention.visible_from())
        details: Mapping[str, NameDetails] | None = None
        if asked.globs is None:
            found = await finder.page(
                Page(
                    asked.prefix,
                    asked.after,
                    asked.limit + 1,
                    clashes=asked.clashes,
                    search=Search(asked.search, asked.ignore_case),
                )
            )
            page, more = found[: asked.limit], len(found) > asked.limit
            if asked.details or asked.sparkline:
                details = await self._describe([one.name for one in page], since)
        else:
            names = await _matched(asked, finder)
            details = await self._describe(names[: asked.limit], since)
            more = len(names) > asked.limit
            page = [
                ListedName(name, details[name].metric.kind, details[name].metric.owner, details[name].clash_of)
                for name in names[: asked.limit]
                if name in details
            ]
        page = [one if covers(prefixes, one.clash_of or one.name) else one._replace(clash_of=None) for one in page]
        hours = await self._hours(details or {}, since, end) if asked.sparkline else None
        following = page[-1].name if more and page else None
        shown = details if asked.details else None
        return await asyncio.to_thread(render_list, page, following, now, shown, hours)

    async def _describe(self, names: Sequence[str], since: int) -> dict[str, NameDetails]:
        return await self.store.names.describe(names, since, await self.retention.visible_from())

    async def _hours(self, details: Mapping[str, NameDetails], since: int, end: int) -> Hours:
        """The last day by the hour, of all names in one statement. What retention hides is None too."""
        groups = [IdGroup(one.metric.id, one.metric.id, None) for one in details.values()]
        found = await self.store.aggregate(groups, _HOUR, plan(since, end, _HOUR), extremes=False)
        return await asyncio.to_thread(hours_of, end - HOURS * _HOUR, details, found)


async def _matched(asked: Listing, finder: Finder) -> list[str]:
    """The names of the page, and one more if there are more."""
    try:
        found = await finder.search(asked.globs or (), MOST_MATCHED)
    except ValueError as error:
        raise fault("match", f"match {error}; a list may be of {MOST_MATCHED:,}") from None
    names = {place.path for places in found for place in places if place.is_name}
    return await asyncio.to_thread(asked.chosen, names)
