"""What base.Store promises of lists of names: search by any part, and what is known of each name."""

from central.store.base import NameDetails, NewName, Page, Row, Search
from central.store.series import NewSeries, SeriesCaps
from protocol.numbers import UNIT
from tests.central.store_help import CAPS, DAY, NOW, OpenStore, group, name, plain

NAMES = ("Shop.Orders", "shop.orders", "shop.orders_eu", "shop.refunds", "a%b", "s")
HOUR = 3600


class DetailsContract:
    """Names are searched and described."""

    async def test_names_are_found_by_any_part(self, open_store: OpenStore) -> None:
        cases: list[tuple[Search, list[str]]] = [
            (Search(""), sorted(NAMES)),
            (Search("orders"), ["shop.orders", "shop.orders_eu"]),
            (Search("Orders"), ["Shop.Orders"]),
            (Search("ORDERS", ignore_case=True), ["Shop.Orders", "shop.orders", "shop.orders_eu"]),
            (Search("rs_e"), ["shop.orders_eu"]),
            (Search("%"), ["a%b"]),
            (Search("_", ignore_case=True), ["shop.orders_eu"]),
            (Search("p.r"), ["shop.refunds"]),
            (Search("p?r"), []),
        ]
        store = await open_store()
        await store.names.resolve([NewName(text, "counter", 1) for text in NAMES], CAPS, NOW)
        for search, expected in cases:
            assert [one.name for one in await store.names.page(Page("", "", 9, search=search))] == expected
            some = [text for text in expected if text.startswith("shop") and text > "shop.orders"]
            assert [one.name for one in await store.names.page(Page("shop", "shop.orders", 9, search=search))] == some
            assert [one.name for one in await store.names.page(Page("", "", 1, search=search))] == expected[:1]

    async def test_a_name_is_described_by_its_last_minute_with_data(self, open_store: OpenStore) -> None:
        store = await open_store()
        live, summed, quiet, never = [await name(store, text) for text in ("live", "summed", "quiet", "never")]
        await store.names.resolve([NewName("owned.set", "value", 1, "set", "owned")], CAPS, NOW + 5)
        old = NOW - 40 * HOUR
        rows = [
            plain(live, 7 * UNIT, NOW - 120),
            *(plain(live, value * UNIT, NOW + second) for value, second in ((3, 2), (5, 59))),
            Row(summed.id, NOW - 60, 12 * UNIT, 4 * UNIT, UNIT, 5 * UNIT),
            plain(quiet, UNIT, old + 130),
            plain(quiet, UNIT, old - 2 * DAY),
        ]
        for row in rows:  # each by itself, so that some are folded and some are not
            await store.commit(group([row]))
            await store.tidy(idle=False)
        (series,) = (
            await store.series.resolve([NewSeries(live.id, "env:prod,host:a")], SeriesCaps(9, 9), NOW)
        ).values()
        await store.series.resolve([NewSeries(live.id, "host:b")], SeriesCaps(9, 9), NOW)
        await store.commit(
            group([plain(summed, UNIT, NOW - 60), plain(live, 4 * UNIT, NOW)._replace(series_id=series.id)])
        )
        texts = ["live", "summed", "quiet", "never", "owned.set", "no"]

        found = await store.names.describe(texts, NOW - DAY, 0)
        owned = (await store.names.find(["owned.set"]))["owned.set"]
        assert found == {
            "live": NameDetails(live, None, NOW, NOW, 3 * UNIT, 12 * UNIT, ("env", "host")),
            "summed": NameDetails(summed, None, NOW, NOW - 60, 5 * UNIT, 13 * UNIT),
            "quiet": NameDetails(quiet, None, NOW, old, 0, 0),
            "never": NameDetails(never, None, NOW),
            "owned.set": NameDetails(owned, "owned", NOW + 5),
        }
        hidden = await store.names.describe(["quiet", "live"], NOW + HOUR, NOW - DAY)
        assert [(one.last_seen, one.weight) for one in hidden.values()] in (
            [(None, 0), (NOW, 0)],
            [(NOW, 0), (None, 0)],
        )
        assert await store.names.describe([], 0, 0) == {}
        assert await store.names.describe(["no"], 0, 0) == {}
