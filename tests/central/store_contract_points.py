"""What points.PointStore promises; a part of store_contract.StoreContract."""

import pytest

from central.store.base import Row
from central.store.points import Points, Span
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_contract_tags import series
from tests.central.store_help import FAR, NOW, OpenStore, group, name, plain, request

Line = tuple[int, ...]


def lines_of(points: Points | None) -> list[Line]:
    """A line per point, sorted."""
    assert points is not None
    return sorted(zip(*(column.tolist() for column in points), strict=True))


def line(row: Row) -> Line:
    """What a store must give for a row."""
    low, high = (row.value if edge is None else edge for edge in (row.low, row.high))
    weight = UNIT if row.weight is None else row.weight
    return row.metric_id, row.series_id, row.recorded_at, weight, row.value, low, high


class PointsContract:
    """Raw points, in pieces."""

    @pytest.mark.parametrize("large", [1, MAX_UNITS], ids=["narrow", "wide"])
    async def test_points_are_read_as_they_were_written(self, open_store: OpenStore, large: int) -> None:
        store = await open_store()
        a, b, other = [(await name(store, text)).id for text in ("a", "b", "other")]
        (tagged,) = await series(store, await name(store, "a"), "env:prod")
        rows = [
            plain(a, large, NOW),
            plain(a, large, NOW),
            plain(a, -1, NOW + 1)._replace(series_id=tagged),
            Row(b, NOW + 59, -large, 3 * UNIT, -large, 7),
        ]
        await store.commit(group([*rows, plain(other, 1), plain(a, 5, NOW - 1), plain(a, 5, NOW + 60)]))
        span = Span((a, b), NOW, NOW + 60)
        assert lines_of(await store.points.read(span, 4)) == sorted(map(line, rows))
        assert await store.points.read(span, 3) is None
        assert lines_of(await store.points.read(Span((b,), NOW + 60, NOW + 90), 1)) == []

    async def test_points_are_read_once_before_and_after_upkeep(self, open_store: OpenStore) -> None:
        store = await open_store()
        a = (await name(store, "a")).id
        rows = [plain(a, number, NOW + number) for number in range(-50, 50)]
        for at in range(0, 100, 10):
            await store.commit(group(rows[at : at + 10]))
            await store.tidy(idle=True)
        assert lines_of(await store.points.read(Span((a,), *FAR), 100)) == sorted(map(line, rows))

    async def test_a_thousand_names_are_read_at_once(self, open_store: OpenStore) -> None:
        store = await open_store()
        a = (await name(store, "a")).id
        await store.commit(group([plain(a, 1), plain(a, 2)], [request()]))
        span = Span((*range(a + 1, a + 1_000), a), *FAR)
        assert [found[4] for found in lines_of(await store.points.read(span, 2))] == [1, 2]
        assert await store.points.read(span, 1) is None

    async def test_series_have_their_tags(self, open_store: OpenStore) -> None:
        store = await open_store()
        texts = ["env:prod,host:a", "env:dev", "overflow:true"]
        found = await series(store, await name(store, "a"), *texts)
        assert await store.points.tags([*found, found[-1] + 1]) == dict(zip(found, texts, strict=True))
        assert await store.points.tags([]) == {}
