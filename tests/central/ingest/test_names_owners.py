"""central/ingest/names.py: under which name items are stored if another StatsD type owns their name."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.ingest.names import Known, Names
from central.ingest.submission import Submission
from central.store.base import Caps
from central.store.duck.store import DuckStore
from protocol.item import Item, Kind
from protocol.numbers import UNIT
from protocol.statsd import MetricType
from protocol.statsd_types import KIND_OF
from tests.central.store_help import CAPS, NOW, SERIES_CAPS, name

Sent = tuple[str, MetricType | Kind]
LONG = "n" * 250


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DuckStore]:
    store = DuckStore(tmp_path)
    await store.open()
    yield store
    await store.close()


def submission(*sent: Sent) -> Submission:
    """A batch of one sample a name. A "value" is one that does not say what it was."""
    items, sent_as = [], []
    for text, what in sent:
        said = None if what == "value" else what
        items.append(Item(text, "value" if said is None else KIND_OF[said], UNIT, NOW))
        sent_as.append(said)
    return Submission(1, items, None, len(items), sent_as=sent_as)


def places(known: Known, of: Submission) -> list[str]:
    """The names under which the items are stored."""
    found = [known.place(item, sent_as) for item, sent_as in zip(of.items, of.sent_as or [], strict=True)]
    return [place[0] for place in found if place is not None]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ([("a", "counter"), ("a", "timing"), ("a", "gauge"), ("a", "set")], ["a", "a.timing", "a.gauge", "a.set"]),
        ([("a", "set"), ("a", "counter"), ("a", "set")], ["a", "a.counter", "a"]),
        ([("a", "gauge"), ("b", "gauge"), ("a", "timing")], ["a", "b", "a.timing"]),
        ([("a", "value"), ("a", "gauge"), ("a", "set")], ["a", "a", "a.set"]),
        ([("a", "gauge"), ("a", "value")], ["a", "a"]),
        # What a clash leads to may be somebody's own name: it is the same type, so both are stored there.
        ([("a.set", "set"), ("a", "counter"), ("a", "set")], ["a.set", "a", "a.set"]),
    ],
)
async def test_a_clash_costs_a_suffix_and_not_a_sample(store: DuckStore, sent: list[Sent], stored: list[str]) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    of = submission(*sent)
    known = await names.settle([of], NOW)
    assert (places(known, of), of.rejected) == (stored, [])
    # Others, who know nothing of it, get the same answer.
    again = submission(*reversed(sent))
    assert places(await Names(store, CAPS, SERIES_CAPS).settle([again], NOW), again) == stored[::-1]


@pytest.mark.parametrize(
    ("before", "sent", "message"),
    [
        (
            [("a", "gauge"), ("a.set", "timing")],
            ("a", "set"),
            "'a' is a gauge, and 'a.set' belongs to another",
        ),
        ([("a.timing", "counter"), ("a", "counter")], ("a", "timing"), "'a.timing' belongs to another type too"),
        ([(LONG, "gauge")], (LONG, "counter"), "has no room for a suffix; send the counter under another name"),
    ],
)
async def test_what_has_no_place_left_is_rejected(
    store: DuckStore, before: list[Sent], sent: Sent, message: str
) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    await names.settle([submission(*before)], NOW)
    of = submission(sent, ("b", "set"))
    known = await names.settle([of], NOW)
    (rejected,) = of.rejected
    assert (rejected.place, rejected.name, rejected.fault.code) == (0, sent[0], "METRIC_TYPE_CONFLICT")
    assert message in rejected.fault.message
    assert (of.sent_as, places(known, of)) == (["set"], ["b"])


async def test_a_name_made_over_rest_keeps_its_type(store: DuckStore) -> None:
    await name(store, "a", "counter")
    names = Names(store, CAPS, SERIES_CAPS)
    of = submission(("a", "timing"), ("a", "counter"), ("a", "value"))
    known = await names.settle([of], NOW)
    assert places(known, of) == ["a.timing", "a"]
    assert [(entry.place, entry.fault.code) for entry in of.rejected] == [(2, "METRIC_TYPE_CONFLICT")]


async def test_a_suffix_needs_room_for_another_name(store: DuckStore) -> None:
    names = Names(store, Caps(1, 9), SERIES_CAPS)
    of = submission(("a", "gauge"), ("a", "set"))
    await names.settle([of], NOW)
    (rejected,) = of.rejected
    assert (rejected.place, rejected.fault.code) == (1, "TOO_MANY_METRICS")
    assert "'a.set'" in rejected.fault.message


async def test_while_the_store_cannot_be_asked_all_types_are_taken(store: DuckStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    await names.settle([submission(("a", "counter"))], NOW)
    of = submission(("a", "timing"), ("a", "value"))
    names.settle_known([of])
    assert (of.sent_as, [entry.place for entry in of.rejected]) == (["timing"], [1])


async def test_a_name_that_is_deleted_can_be_owned_anew(store: DuckStore) -> None:
    names = Names(store, CAPS, SERIES_CAPS)
    await names.settle([submission(("a", "gauge"))], NOW)
    await store.names.delete("a")
    names.forget("a")
    of = submission(("a", "set"), ("a", "gauge"))
    assert places(await names.settle([of], NOW), of) == ["a", "a.gauge"]
