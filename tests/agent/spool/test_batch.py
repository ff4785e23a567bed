"""A window becomes batches, and a batch its halves."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.window import Window, WindowItem
from agent.spool.batch import FULL_BYTES, Batch, batches, random_id
from protocol.histogram import MAX_BUCKET, encode
from protocol.item import Item, item_to_json
from protocol.limits import MAX_BODY_BYTES
from protocol.numbers import MAX_UNITS, UNIT
from tests.agent.fakes import NOW, a_batch


def a_window(items: int) -> Window:
    return Window(NOW, [WindowItem(Item(f"n{i}", "counter", i, NOW), i, "counter") for i in range(items)])


@pytest.mark.parametrize(
    ("items", "sizes"),
    [(0, []), (1, [1]), (1_000, [1_000]), (1_001, [1_000, 1]), (2_500, [1_000, 1_000, 500])],
)
def test_a_batch_has_at_most_a_thousand_items(items: int, sizes: list[int]) -> None:
    made = list(batches(a_window(items)))
    assert [len(batch.items) for batch in made] == sizes
    assert [batch.part for batch in made] == list(range(len(sizes)))
    assert {batch.start for batch in made} <= {NOW}
    assert sum(batch.total for batch in made) == sum(range(items))
    assert len({batch.id for batch in made}) == len(made)


def test_the_body_is_the_public_batch() -> None:
    (batch,) = batches(Window(NOW, [WindowItem(Item("a", "value", 15_000, NOW, 20_000, 5_000, 10_000), 7, "timing")]))
    assert json.loads(batch.body()) == {
        "metrics": [
            {"name": "a", "type": "value", "value": 1.5, "count": 2, "min": 0.5, "max": 1}
            | {"recorded_at": "2026-02-15T00:00:00Z"}
        ]
    }
    assert (batch.samples, batch.types) == ((7,), "t")


def test_the_largest_batch_is_within_the_limits_uncompressed() -> None:
    largest = Item("n" * 255, "counter", -MAX_UNITS, NOW, MAX_UNITS, -MAX_UNITS, -MAX_UNITS)
    (batch,) = batches(Window(NOW, [WindowItem(largest, 1, "counter")] * 1_000))
    assert len(batch.body()) < MAX_BODY_BYTES // 2


def test_large_histograms_make_batches_of_fewer_items() -> None:
    histogram = encode(dict.fromkeys(range(0, 7_000, 2), UNIT))
    timing = Item("a", "value", 0, NOW, 3_500 * UNIT, 0, 10**15, histogram)
    made = list(batches(Window(NOW, [WindowItem(timing, 3_500, "timing")] * 500)))
    assert len(made) > 1
    assert all(len(batch.body()) <= MAX_BODY_BYTES for batch in made)
    assert all(len(batch.body()) > FULL_BYTES for batch in made[:-1])
    assert [batch.part for batch in made] == list(range(len(made)))
    assert sum(batch.total for batch in made) == 500 * 3_500
    assert sum(len(batch.items) for batch in made) == 500


def test_the_largest_histogram_fits_a_batch_that_is_almost_full() -> None:
    largest = encode(dict.fromkeys(range(-MAX_BUCKET, MAX_BUCKET + 1), MAX_UNITS // (2 * MAX_BUCKET + 2)))
    timing = Item("n" * 255, "value", -MAX_UNITS, NOW, MAX_UNITS, -MAX_UNITS, MAX_UNITS, largest)
    assert FULL_BYTES + len(item_to_json(timing, "2026-02-15T00:00:00Z")) < MAX_BODY_BYTES


def test_an_id_is_128_random_bits() -> None:
    ids = {random_id() for _ in range(1_000)}
    assert len(ids) == 1_000
    assert all(len(text) == 32 and int(text, 16) >= 0 for text in ids)


def test_a_single_item_has_no_halves() -> None:
    assert a_batch(items=1).halves() is None


@given(st.integers(2, 40))
def test_halves_are_the_whole_in_order_under_derived_ids(items: int) -> None:
    batch = a_batch(7, items)
    halves = batch.halves()
    assert halves is not None
    first, second = halves
    assert (first.id, second.id) == (f"{batch.id}.0", f"{batch.id}.1")
    assert first.items + second.items == batch.items
    assert first.samples + second.samples == batch.samples
    assert abs(len(first.items) - len(second.items)) <= 1
    assert batch.halves() == halves, "split again, the halves are the same"


def test_splitting_ends_at_single_items() -> None:
    def leaves(batch: Batch) -> list[Batch]:
        halves = batch.halves()
        return [batch] if halves is None else [leaf for half in halves for leaf in leaves(half)]

    found = leaves(a_batch(items=1_000))
    assert len({leaf.id for leaf in found}) == 1_000
    assert max(len(leaf.id) for leaf in found) <= 255
