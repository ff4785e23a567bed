"""central/ingest/names.py: a cache that holds only durable names."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import duckdb
import pytest

from central.ingest import names as names_module
from central.ingest.names import Names
from central.ingest.submission import Submission
from central.store.base import Caps, Metric, NewName, StoreUnavailable
from central.store.duck.engine import Connection, Engine, run_commit
from central.store.duck.names import DuckNames
from central.store.duck.store import DuckStore
from protocol.item import Item, Kind
from protocol.numbers import UNIT
from tests.central.store_help import CAPS, NOW, SERIES_CAPS, name


class AskedNames(DuckNames):
    """Names that note which of them are asked for."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.asked: list[str] = []

    async def resolve(self, wanted: Sequence[NewName], caps: Caps, now: int) -> dict[str, Metric]:
        self.asked += [new.name for new in wanted]
        return await super().resolve(wanted, caps, now)

    async def find(self, names: Sequence[str]) -> dict[str, Metric]:
        self.asked += names
        return await super().find(names)


class AskedStore(DuckStore):
    """A store that notes what it is asked, and whose COMMIT fails on demand."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, commit=self.run_commit)
        names = AskedNames(self.engine)
        self.names, self.asked = names, names.asked
        self.fails = False

    def run_commit(self, connection: Connection) -> None:
        if self.fails:
            raise duckdb.IOException("full")
        run_commit(connection)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[AskedStore]:
    store = AskedStore(tmp_path)
    await store.open()
    yield store
    await store.close()


def submission(*items: tuple[str, Kind], key_id: int = 1) -> Submission:
    """A batch of one sample a name."""
    made = [Item(text, kind, UNIT, NOW) for text, kind in items]
    return Submission(key_id, made, list(range(len(made))), len(made))


def rejected(of: Submission) -> list[tuple[int, str | None, str]]:
    return [(entry.place, entry.name, entry.fault.code) for entry in of.rejected]


async def test_missing_names_are_made_once_and_asked_once(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    await names.settle([submission(("a", "counter"), ("b", "value"))], NOW)
    assert (names.of("a").kind, names.of("b").kind) == ("counter", "value")
    assert await store.names.find(["a", "b"]) == {text: names.of(text) for text in "ab"}
    store.asked.clear()
    await names.settle([submission(("a", "counter"), ("c", "value"), ("b", "value"))], NOW)
    assert store.asked == ["c"]


async def test_a_name_made_elsewhere_keeps_its_id(store: AskedStore) -> None:
    made = await name(store, "a")
    names = Names(store, CAPS, SERIES_CAPS)
    await names.settle([submission(("a", "value"))], NOW)
    assert names.of("a") == made


async def test_the_wrong_type_is_rejected_item_by_item(store: AskedStore) -> None:
    await name(store, "a", "counter")
    names = Names(store, CAPS, SERIES_CAPS)
    wanted = submission(("b", "value"), ("a", "value"), ("a", "counter"), ("b", "counter"))
    await names.settle([wanted], NOW)
    assert [(item.name, item.kind) for item in wanted.items] == [("b", "value"), ("a", "counter")]
    assert rejected(wanted) == [(1, "a", "METRIC_TYPE_CONFLICT"), (3, "b", "METRIC_TYPE_CONFLICT")]
    assert wanted.rejected[0].fault.message == "'a' is a counter and cannot take a value; use another name"


async def test_of_two_requests_in_a_group_the_first_gives_the_type(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    one, two = submission(("a", "value")), submission(("a", "counter"))
    await names.settle([one, two], NOW)
    assert (rejected(one), rejected(two)) == ([], [(0, "a", "METRIC_TYPE_CONFLICT")])


async def test_a_name_over_the_cap_is_rejected_and_asked_again_next_time(store: AskedStore) -> None:
    names = Names(store, Caps(2, 9), SERIES_CAPS)
    first = submission(("a", "value"), ("b", "value"), ("c", "value"), ("c", "value"))
    await names.settle([first], NOW)
    assert rejected(first) == [(2, "c", "TOO_MANY_METRICS"), (3, "c", "TOO_MANY_METRICS")]
    assert "at most 2 names, 9 per key" in first.rejected[0].fault.message
    await store.names.delete("a")
    names.forget("a")
    second = submission(("c", "value"))
    await names.settle([second], NOW)
    assert rejected(second) == []


async def test_the_cap_of_one_key_leaves_the_others_alone(store: AskedStore) -> None:
    names = Names(store, Caps(9, 1), SERIES_CAPS)
    one, two = submission(("a", "value"), ("b", "value"), key_id=1), submission(("c", "value"), key_id=2)
    await names.settle([one, two], NOW)
    assert (rejected(one), rejected(two)) == ([(1, "b", "TOO_MANY_METRICS")], [])


async def test_what_is_not_known_to_be_durable_is_not_cached(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    store.fails = True
    with pytest.raises(StoreUnavailable):
        await names.settle([submission(("a", "value"))], NOW)
    store.fails = False
    assert await names.find(["a"]) == {}
    await names.settle([submission(("a", "counter"))], NOW)
    assert names.of("a").kind == "counter"


async def test_find_asks_the_store_only_for_what_it_does_not_know(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    await names.settle([submission(("a", "value"))], NOW)
    other = await name(store, "b")
    store.asked.clear()
    assert await names.find(["a"]) == {"a": names.of("a")}
    assert store.asked == []
    assert await names.find(["b", "a", "none"]) == {"a": names.of("a"), "b": other}
    assert store.asked == ["b", "none"]


async def test_a_forgotten_name_is_asked_again(store: AskedStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    await names.settle([submission(("a", "value"))], NOW)
    old = names.of("a")
    await store.names.delete("a")
    names.forget("a")
    names.forget("never known")
    await names.settle([submission(("a", "counter"))], NOW)
    assert (names.of("a").kind, names.of("a").id == old.id) == ("counter", False)


async def test_a_full_cache_keeps_what_the_group_needs(store: AskedStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(names_module, "MAX_CACHED", 3)
    names = Names(store, CAPS, SERIES_CAPS)
    made: dict[str, Metric] = {}
    for texts in ("abc", "ad", "aef"):
        await names.settle([submission(*((text, "value") for text in texts))], NOW)
        made |= {text: names.of(text) for text in texts}
    store.asked.clear()
    assert await names.find("abcdef") == made
    assert store.asked == ["b", "c", "d"]
