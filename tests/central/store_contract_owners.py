"""What base.Store promises about the owners of names: the store decides which StatsD type was first."""

import asyncio

from central.store.base import ListedName, NewName, Page, Store
from protocol.statsd import MetricType
from protocol.statsd_types import KIND_OF
from tests.central.store_help import CAPS, NOW, OpenStore, name


def sent(text: str, owner: MetricType, clash_of: str | None = None) -> NewName:
    return NewName(text, KIND_OF[owner], 1, owner, clash_of)


async def owner(store: Store, *wanted: NewName) -> MetricType | None:
    """The owner of the one name of these, as both ways to ask say."""
    (text,) = {new.name for new in wanted}
    found = await store.names.resolve(wanted, CAPS, NOW)
    assert await store.names.find([text]) == found
    return found[text].owner


class OwnersContract:
    """Owners of names."""

    async def test_the_first_type_to_come_owns_a_name_for_ever(self, open_store: OpenStore) -> None:
        store = await open_store()
        assert await owner(store, sent("a", "gauge"), sent("a", "set")) == "gauge"
        assert await owner(store, sent("a", "timing")) == "gauge"
        assert await owner(store, sent("a", "counter")) == "gauge"

    async def test_a_name_without_owner_is_taken_by_the_first_of_its_type(self, open_store: OpenStore) -> None:
        store = await open_store()
        plain = await name(store, "a", "value")
        assert plain.owner is None
        assert await owner(store, sent("a", "counter")) is None
        assert await owner(store, sent("a", "set"), sent("a", "gauge")) == "set"
        assert (await name(store, "a", "value")).id == plain.id

    async def test_a_name_made_for_plain_items_and_others_at_once_is_owned(self, open_store: OpenStore) -> None:
        store = await open_store()
        assert await owner(store, NewName("a", "value", 1), sent("a", "counter"), sent("a", "timing")) == "timing"

    async def test_two_that_claim_a_name_at_once_agree(self, open_store: OpenStore) -> None:
        store = await open_store()
        await name(store, "a", "value")
        claims = [[sent("a", "gauge")], [sent("a", "set")]] * 5
        found = await asyncio.gather(*(store.names.resolve(wanted, CAPS, NOW) for wanted in claims))
        assert len({metrics["a"] for metrics in found}) == 1

    async def test_the_list_shows_owners_and_clashes(self, open_store: OpenStore) -> None:
        store = await open_store()
        await name(store, "a", "counter")
        wanted = [sent("b", "timing"), sent("b.gauge", "gauge", "b"), sent("c.set", "set")]
        await store.names.resolve(wanted, CAPS, NOW)
        clash = ListedName("b.gauge", "value", "gauge", "b")
        assert await store.names.page(Page("", "", 9)) == [
            ListedName("a", "counter", None, None),
            ListedName("b", "value", "timing", None),
            clash,
            ListedName("c.set", "value", "set", None),
        ]
        assert await store.names.page(Page("", "", 9, clashes=True)) == [clash]
        assert await store.names.page(Page("", "b.gauge", 9, clashes=True)) == []

    async def test_a_deleted_name_is_free_for_any_type(self, open_store: OpenStore) -> None:
        store = await open_store()
        await owner(store, sent("a", "gauge"))
        assert await store.names.delete("a")
        assert await store.names.find(["a"]) == {}
        assert await owner(store, sent("a", "counter")) == "counter"
