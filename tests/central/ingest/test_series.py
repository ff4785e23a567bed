"""central/ingest/series.py: the cache of series, and what an explosion of tags costs."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from random import Random

import pytest
from structlog.testing import capture_logs

from central.ingest import names as names_module
from central.ingest.group import add
from central.ingest.names import Known, Names
from central.ingest.series import AT_ONCE
from central.ingest.submission import Submission
from central.store.base import Group, Row, StaleNames
from central.store.duck.engine import Engine
from central.store.duck.series import DuckSeries
from central.store.duck.store import DuckStore
from central.store.series import NewSeries, Series, SeriesCaps
from protocol.item import Item
from protocol.numbers import UNIT
from protocol.statsd import MetricType
from protocol.statsd_types import KIND_OF
from protocol.tags import OVERFLOW
from tests.central.store_help import CAPS, NOW, SERIES_CAPS, TODAY


class AskedSeries(DuckSeries):
    """Series that note how often they are asked."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.resolved: list[int] = []
        self.found: list[int] = []

    async def resolve(self, wanted: Sequence[NewSeries], caps: SeriesCaps, now: int) -> dict[NewSeries, Series]:
        self.resolved.append(len(wanted))
        return await super().resolve(wanted, caps, now)

    async def find(self, wanted: Sequence[NewSeries]) -> dict[NewSeries, Series]:
        self.found.append(len(wanted))
        return await super().find(wanted)


class AskedStore(DuckStore):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.series = self.asked = AskedSeries(self.engine)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AskedStore]:
    store = AskedStore(tmp_path)
    await store.open()
    yield store
    await store.close()


def tagged(*sent: tuple[str, str | None], sent_as: Sequence[MetricType | None] | None = None) -> Submission:
    """A batch of one sample for each name and tags."""
    kinds = ["value" if said is None else KIND_OF[said] for said in sent_as or [None] * len(sent)]
    items = [Item(name, kind, UNIT, NOW, tags=tags) for (name, tags), kind in zip(sent, kinds, strict=True)]
    return Submission(1, items, None, len(items), sent_as=None if sent_as is None else list(sent_as))


async def rows_of(names: Names, *submissions: Submission) -> tuple[list[Row], Known]:
    """What a group stores for the submissions."""
    known = await names.settle(submissions, NOW)
    group = Group(bytes(16), TODAY)
    for submission in submissions:
        add(group, submission, known, [])
    return group.rows, known


async def tags_by_id(store: DuckStore, name: str) -> dict[int, str]:
    """The series of a name."""
    metrics = await store.names.find([name])
    return {series.id: series.tags for series in await store.series.select(metrics[name].id, [], 0, 1_000_000)}


async def test_a_row_has_the_series_of_its_item(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    sent = [("a", "h:1"), ("a", None), ("b", "h:1"), ("a", "h:2"), ("a", "h:1")]
    rows, _ = await rows_of(names, tagged(*sent))
    tags = await tags_by_id(store, "a") | await tags_by_id(store, "b") | {0: None}
    assert [tags[row.series_id] for row in rows] == [given for _, given in sent]
    assert [row.metric_id for row in rows] == [names.of(name).id for name, _ in sent]
    assert len({row.series_id for row in rows}) == 4
    assert names.series.stored == 3


async def test_an_item_under_a_longer_name_has_a_series_of_that_name(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    sent = tagged(("a", "h:1"), ("a", "h:1"), ("a", None), sent_as=["counter", "timing", "timing"])
    rows, _ = await rows_of(names, sent)
    assert sent.renamed == ["a.timing"]
    (own,), (longer,) = await tags_by_id(store, "a"), await tags_by_id(store, "a.timing")
    assert [row.series_id for row in rows] == [own, longer, 0]


async def test_a_known_series_is_not_asked_for_again(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    first, _ = await rows_of(names, tagged(("a", "h:1"), ("a", "h:2")), tagged(("a", "h:1")))
    again, _ = await rows_of(names, tagged(("a", "h:1"), ("a", "h:2"), ("a", "h:1")))
    assert again == first
    assert store.asked.resolved == [2]
    await rows_of(names, tagged(("a", "h:1"), ("a", "h:3")), tagged(("a", None)))
    assert store.asked.resolved == [2, 1]


async def test_many_new_series_are_created_in_several_transactions(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    rows, _ = await rows_of(names, tagged(*(("a", f"h:{number}") for number in range(AT_ONCE + 5))))
    assert store.asked.resolved == [AT_ONCE, 5]
    assert len({row.series_id for row in rows}) == AT_ONCE + 5


@pytest.mark.parametrize("caps", [SeriesCaps(9_999, 20), SeriesCaps(21, 9_999)])
async def test_an_explosion_keeps_every_point_and_costs_one_transaction(store: AskedStore, caps: SeriesCaps) -> None:
    names, dice = Names(store, CAPS, caps), Random(7)
    await rows_of(names, tagged(("good", "h:1")))
    points = Counter[int]()
    for _ in range(10):
        batch = [("a", f"user:{dice.randrange(10**9)}") for _ in range(400)]
        rows, known = await rows_of(names, tagged(("good", "h:1"), ("a", None), *batch))
        points.update(row.series_id for row in rows)
        assert len(known.series.ids) == 1 + 20
        assert known.series.overflowing(rows) == (380 if points[0] == 1 else 400)
    tags = await tags_by_id(store, "a")
    assert Counter(tags.values())[OVERFLOW] == 1
    assert sum(points[key] for key in tags) == 4_000
    assert sum(points[key] for key, text in tags.items() if text == OVERFLOW) == 4_000 - 20
    assert points[next(iter(await tags_by_id(store, "good")))] == 10
    assert store.asked.resolved == [1, 400]
    assert names.series.stored == 21


async def test_a_full_name_is_logged_once_and_others_are_unharmed(store: AskedStore) -> None:
    names = Names(store, CAPS, SeriesCaps(9, 1))
    with capture_logs() as logs:
        for number in range(3):
            await rows_of(names, tagged(("a", f"h:{number}"), ("b", "h:1"), ("c", f"h:{number}")))
    (line,) = [entry for entry in logs if entry["event"] == "series_over_cap"]
    assert (line["names"], line["examples"]) == (2, ["a", "c"])
    assert line["caps"] == {"series": 9, "series_per_metric": 1}


async def test_a_series_of_a_full_name_is_found_again_after_a_start(store: AskedStore) -> None:
    sent = tagged(("a", "h:1"), ("a", "h:2"), ("a", "h:3"))
    rows, _ = await rows_of(Names(store, CAPS, SeriesCaps(9, 2)), sent)
    names = Names(store, CAPS, SeriesCaps(9, 2))
    await rows_of(names, tagged(("a", "h:9")))
    assert (await rows_of(names, sent))[0] == rows
    assert store.asked.resolved == [3, 1]


@pytest.mark.parametrize("everything", [False, True])
async def test_after_a_deletion_there_is_room_for_a_new_series(store: AskedStore, everything: bool) -> None:
    names = Names(store, CAPS, SeriesCaps(1, 9))
    await rows_of(names, tagged(("a", "h:1"), ("b", "h:1")))
    assert await store.series.delete(names.of("a").id, "h:1")
    if everything:
        names.forget_all()
    else:
        names.forget("a")
    rows, known = await rows_of(names, tagged(("b", "h:1"), ("a", "h:1")))
    assert known.series.overflowing(rows) == 1
    assert (await tags_by_id(store, "b"))[rows[0].series_id] == "h:1"


async def test_a_name_that_is_deleted_before_its_series_is_found_is_stale(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    await rows_of(names, tagged(("a", None)))
    assert await store.names.delete("a")
    with pytest.raises(StaleNames):
        await rows_of(names, tagged(("a", "h:1")))
    names.forget_all()
    rows, _ = await rows_of(names, tagged(("a", "h:1")))
    assert set(await tags_by_id(store, "a")) == {rows[0].series_id}


async def test_a_cache_that_is_too_large_keeps_what_the_group_needs(
    store: AskedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(names_module, "MAX_CACHED_BYTES", 2_000)
    names = Names(store, CAPS, SeriesCaps(99, 7))
    await rows_of(names, tagged(*(("full", f"h:{number}") for number in range(8))))
    _, before = await rows_of(names, tagged(("a", "h:1"), ("a", "h:2")))
    first, after = await rows_of(names, tagged(("a", "h:1")))
    assert [len(known.series.ids) for known in (before, after)] == [2, 2]
    assert after.series.bytes < 2_000
    again, _ = await rows_of(names, tagged(("a", "h:1"), ("full", "h:3"), ("full", "h:9")))
    assert (again[0], len({row.series_id for row in again})) == (first[0], 3)
