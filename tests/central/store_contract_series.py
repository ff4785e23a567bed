"""What base.Store promises of series: created once, capped without a loss, found by their tags."""

import asyncio
import itertools
import re

import pytest

from central.store.base import Metric, Store
from central.store.series import FoundSeries, NewSeries, Series, SeriesCaps, TagFilter, TagKey, TagValue
from protocol.tags import OVERFLOW, canonical
from tests.central.store_help import NOW, OpenStore, name

ROOMY = SeriesCaps(1_000_000, 1_000_000)
HOSTS = [
    "env:prod,host:web-1",
    "env:prod,host:web-2",
    "env:test,host:db-1",
    "env:prod,host:100%,zone:",
    "env:prod,host:100_",
    "host:WEB-1",
    "env:prod ,host:日本",
]

_ODD = r"prod Prod p*d * : a:b a%b a_b a!b a\b a'b a.b (x [x] {x} $ ^ ? !prod # ~ 00 1e3 null ß ss é É 日本 😀"
ODD_VALUES = ["", " ", "prod ", " prod", "\u00a0", "e\u0301", "\u0130", "\u0131", "I", "x" * 200, 'a"b', *_ODD.split()]
_PATTERNS = r"p* *d *r* P* *:* *%* *_* *!* *\* *'* *.* (* [* *] $* ^* ?* *😀 日* É* a*b *a*b* x*x"
ODD_PATTERNS = [*ODD_VALUES, " *", "* ", "*\u0301", *_PATTERNS.split()]


async def resolve(store: Store, metric: Metric, *tags: str, caps: SeriesCaps = ROOMY) -> list[Series]:
    """The series of these tags, in order."""
    wanted = [NewSeries(metric.id, text) for text in tags]
    found = await store.series.resolve(wanted, caps, NOW)
    return [found[new] for new in wanted]


async def tags_of(store: Store, metric: Metric, *filters: TagFilter) -> list[str]:
    """The tags of the series that meet the filters, sorted."""
    return sorted(series.tags for series in await store.series.select(metric.id, filters, 0, 1_000_000))


class SeriesContract:
    """Series and their tags."""

    async def test_a_series_is_created_once_and_stays(self, open_store: OpenStore) -> None:
        store = await open_store()
        one, two = await name(store, "a"), await name(store, "b")
        made = await resolve(store, one, *HOSTS)
        assert [series.tags for series in made] == HOSTS
        assert await resolve(store, one, *reversed(HOSTS)) == made[::-1]
        wanted = [NewSeries(one.id, HOSTS[1]), NewSeries(one.id, "h:new"), NewSeries(two.id, HOSTS[1])]
        assert await store.series.find(wanted) == {wanted[0]: made[1]}
        (other,) = await resolve(store, two, HOSTS[0])
        assert len({other.id, one.id, two.id, *(series.id for series in made)}) == len(HOSTS) + 3
        assert await store.series.count() == len(HOSTS) + 1
        await store.close()
        store = await open_store()
        assert await resolve(store, one, *HOSTS) == made

    async def test_the_same_series_asked_for_twice_at_once_is_one(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        found = await asyncio.gather(*(resolve(store, metric, HOSTS[0], HOSTS[0]) for _ in range(5)))
        assert len({series for pair in found for series in pair}) == 1

    @pytest.mark.parametrize("caps", [SeriesCaps(2, 9), SeriesCaps(9, 2)])
    async def test_beyond_a_cap_the_overflow_of_the_metric_takes_the_rest(
        self, open_store: OpenStore, caps: SeriesCaps
    ) -> None:
        store = await open_store()
        metric = await name(store, "a")
        first = await resolve(store, metric, "h:1", "h:2", "h:3", "h:4", caps=caps)
        assert [series.tags for series in first] == ["h:1", "h:2", OVERFLOW, OVERFLOW]
        again = await resolve(store, metric, "h:5", "h:2", OVERFLOW, caps=caps)
        assert again == [first[2], first[1], first[2]]
        assert await store.series.count() == 2
        assert await store.series.delete(metric.id, "h:1")
        assert [series.tags for series in await resolve(store, metric, "h:5", "h:6", caps=caps)] == ["h:5", OVERFLOW]

    async def test_a_full_metric_leaves_room_for_others(self, open_store: OpenStore) -> None:
        store = await open_store()
        full, other = await name(store, "full"), await name(store, "other")
        await resolve(store, full, "h:1", "h:2", "h:3", caps=SeriesCaps(4, 2))
        assert [found.tags for found in await resolve(store, other, "h:1", "h:2", "h:3", caps=SeriesCaps(4, 9))] == [
            "h:1",
            "h:2",
            OVERFLOW,
        ]

    async def test_series_are_found_by_their_tags(self, open_store: OpenStore) -> None:
        cases: list[tuple[list[TagFilter], list[str]]] = [
            ([], HOSTS),
            ([TagFilter("host", "web-1")], HOSTS[:1]),
            ([TagFilter("host", "web-*")], HOSTS[:2]),
            ([TagFilter("host", "*-1")], [HOSTS[0], HOSTS[2], HOSTS[5]]),
            ([TagFilter("host", "w*-*2")], [HOSTS[1]]),
            ([TagFilter("host", "web-*"), TagFilter("host", "*1")], HOSTS[:1]),
            ([TagFilter("env", "prod"), TagFilter("host", "*")], [HOSTS[0], HOSTS[1], HOSTS[3], HOSTS[4]]),
            ([TagFilter("env", "prod ")], [HOSTS[6]]),
            ([TagFilter("env", "*", True)], [HOSTS[5]]),
            ([TagFilter("env", "prod*", True)], [HOSTS[2], HOSTS[5]]),
            ([TagFilter("host", "100%")], [HOSTS[3]]),
            ([TagFilter("host", "1*%")], [HOSTS[3]]),
            ([TagFilter("host", "1*_")], [HOSTS[4]]),
            ([TagFilter("host", "日*")], [HOSTS[6]]),
            ([TagFilter("zone", "")], [HOSTS[3]]),
            ([TagFilter("zone", "*")], [HOSTS[3]]),
            ([TagFilter("nothing", "x")], []),
            ([TagFilter("env", "prod"), TagFilter("host", "web-*")], HOSTS[:2]),
            ([TagFilter("env", "prod"), TagFilter("host", "web-1", True)], [HOSTS[1], HOSTS[3], HOSTS[4]]),
            ([TagFilter("env", "prod"), TagFilter("zone", "*", True)], [HOSTS[0], HOSTS[1], HOSTS[4]]),
            ([TagFilter("env", "prod"), TagFilter("host", "web-1")], HOSTS[:1]),
            ([TagFilter("host", "1*0.")], []),
            ([TagFilter("host", "*[a-z]*")], []),
            ([TagFilter("nv", "prod")], []),
            ([TagFilter("env", "rod*")], []),
            ([TagFilter("nothing", "x", True)], HOSTS),
        ]
        store = await open_store()
        metric, other = await name(store, "a"), await name(store, "b")
        await resolve(store, metric, *HOSTS)
        await resolve(store, other, "env:prod,host:web-9")
        for filters, expected in cases:
            assert await tags_of(store, metric, *filters) == sorted(expected), filters

    async def test_odd_values_are_found_as_a_search_by_hand_finds_them(self, open_store: OpenStore) -> None:
        """Keys that differ by their case or their end are different, and only a star is more than itself."""
        store = await open_store()
        metric = await name(store, "a")
        made = [f"{key}:{value}" for key in ("Env", "en", "env") for value in ODD_VALUES]
        await resolve(store, metric, *made)
        for key, pattern, negated in itertools.product(("env", "Env"), ODD_PATTERNS, (False, True)):
            means = re.compile(".*".join(map(re.escape, f"{key}:{pattern}".split("*")))).fullmatch
            found = await tags_of(store, metric, TagFilter(key, pattern, negated))
            assert found == sorted(tags for tags in made if (means(tags) is not None) is not negated), (key, pattern)

    async def test_the_list_of_series_goes_on_behind_an_id(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        made = sorted(await resolve(store, metric, *HOSTS))
        assert await store.series.select(metric.id, [], made[1].id, 3) == made[2:5]
        assert await store.series.select(metric.id, [], made[-1].id, 3) == []

    async def test_keys_and_values_are_listed_with_their_numbers(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        await resolve(store, metric, *HOSTS)
        assert await store.series.keys(metric.id) == [TagKey("env", 3), TagKey("host", 7), TagKey("zone", 1)]
        every = TagFilter("env", "*")
        listed = [TagValue("prod", 4), TagValue("prod ", 1), TagValue("test", 1)]
        assert await store.series.values(metric.id, every, "", 9) == listed
        assert await store.series.values(metric.id, every, "prod", 1) == listed[1:2]
        assert await store.series.values(metric.id, TagFilter("host", "*eb*"), "", 9) == [
            TagValue("web-1", 1),
            TagValue("web-2", 1),
        ]
        assert await store.series.values(metric.id, TagFilter("zone", "*"), "", 9) == [TagValue("", 1)]

    async def test_series_of_all_names_are_found_by_their_tags(self, open_store: OpenStore) -> None:
        store = await open_store()
        one, two = await name(store, "a"), await name(store, "b")
        made = [FoundSeries("a", series) for series in await resolve(store, one, *HOSTS)]
        made += [FoundSeries("b", series) for series in await resolve(store, two, *HOSTS[:2])]

        async def found(ids: list[int] | None, *filters: TagFilter) -> list[FoundSeries]:
            return sorted(await store.series.search(ids, filters, 99), key=made.index)

        assert await found(None) == made
        assert await found([one.id, two.id], TagFilter("host", "web-1")) == [made[0], made[7]]
        assert await found([two.id], TagFilter("host", "*")) == made[7:]
        assert await found(None, TagFilter("env", "prod"), TagFilter("host", "1*")) == made[3:5]
        assert await found(None, TagFilter("host", "1*"), TagFilter("host", "*")) == made[3:5]
        assert await found([]) == []
        assert len(await store.series.search(None, [], 2)) == 2

    async def test_keys_and_values_of_all_names_are_listed(self, open_store: OpenStore) -> None:
        store = await open_store()
        await resolve(store, await name(store, "a"), *HOSTS)
        await resolve(store, await name(store, "b"), "env:dev,host:web-1", "e_v:x")
        assert await store.series.all_keys("", 9) == ["e_v", "env", "host", "zone"]
        assert await store.series.all_keys("e_", 9) == ["e_v"]
        assert await store.series.all_keys("e", 1) == ["e_v"]
        assert await store.series.all_values("env", "", 9) == ["dev", "prod", "prod ", "test"]
        assert await store.series.all_values("env", "p", 1) == ["prod"]
        assert await store.series.all_values("host", "web-1", 9) == ["web-1"]
        assert await store.series.all_values("host", "100%", 9) == ["100%"]
        assert await store.series.all_values("host", "日", 9) == ["日本"]
        assert await store.series.all_values("zone", "", 9) == [""]
        assert await store.series.all_values("nothing", "", 9) == []

    async def test_a_deleted_series_is_gone_and_comes_back_with_another_id(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        made = await resolve(store, metric, *HOSTS)
        assert await store.series.delete(metric.id, HOSTS[1]) is True
        assert await store.series.delete(metric.id, HOSTS[1]) is False
        assert await tags_of(store, metric) == sorted([*HOSTS[:1], *HOSTS[2:]])
        assert (await store.series.keys(metric.id))[1] == TagKey("host", 6)
        await store.close()
        store = await open_store()
        (back,) = await resolve(store, metric, HOSTS[1])
        assert back.id not in {series.id for series in made}

    async def test_a_deleted_name_takes_its_series_along(self, open_store: OpenStore) -> None:
        store = await open_store()
        gone, kept = await name(store, "a"), await name(store, "b")
        await resolve(store, gone, *HOSTS)
        await resolve(store, kept, *HOSTS[:2])
        assert await store.names.delete("a")
        await store.names.purge()
        assert (await store.series.count(), await tags_of(store, gone), await store.series.keys(gone.id)) == (2, [], [])
        assert await tags_of(store, kept) == sorted(HOSTS[:2])
        wanted = [NewSeries(gone.id, HOSTS[0]), NewSeries(kept.id, HOSTS[2])]
        assert set(await store.series.resolve(wanted, ROOMY, NOW)) == set(wanted[1:])

    async def test_long_and_many_tags_are_kept_whole(self, open_store: OpenStore) -> None:
        store = await open_store()
        metric = await name(store, "a")
        large = canonical({f"{number:02}".rjust(64, "k"): "日" * 200 for number in range(20)})
        assert large is not None
        (made,) = await resolve(store, metric, large)
        assert (made.tags, await tags_of(store, metric, TagFilter("k" * 62 + "19", "日" * 200))) == (large, [large])
