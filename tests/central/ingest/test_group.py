"""central/ingest/group.py: the rows and ids of a group, and which errors are retried."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from central.ingest.group import TRIES, add, request_ids, try_until_taken
from central.ingest.names import Known, Names
from central.ingest.submission import Submission
from central.store.base import (
    Group,
    Metric,
    NotStored,
    OutcomeUnknown,
    Refused,
    RequestId,
    Row,
    StaleNames,
    StoreError,
    StoreUnavailable,
)
from central.store.duck.store import DuckStore
from protocol.item import Fault
from protocol.numbers import UNIT
from tests.central.store_help import CAPS, NOW, SERIES_CAPS, TODAY, Clock
from tests.central.write_help import item, key_of, sent, sent_single

FAULT = Fault("METRIC_TYPE_CONFLICT", "name", "it is a counter")


@pytest.fixture
async def names(tmp_path: Path) -> AsyncIterator[Names]:
    """The names of a store, which hold ``a``."""
    store = DuckStore(tmp_path, clock=Clock())
    await store.open()
    made = Names(store, CAPS, SERIES_CAPS)
    await made.settle([sent(item("a"))], NOW)
    yield made
    await store.close()


def refused(submission: Submission) -> Submission:
    """The submission without its first item."""
    submission.reject({0: FAULT})
    return submission


@pytest.mark.parametrize(
    ("submission", "remembered", "answer"),
    [
        (sent(item()), False, None),
        (sent(item(), key="k"), True, None),
        (refused(sent(item(), item("b"), key="k")), True, b'"rejected":1'),
        (sent_single("a", "value"), False, None),
        (sent_single("a", "value", "k"), True, None),
        (refused(sent_single("a", "value", "k")), False, None),
    ],
)
def test_a_request_is_remembered_by_its_key_and_an_answer_of_its_own(
    submission: Submission, remembered: bool, answer: bytes | None
) -> None:
    if not remembered:
        assert request_ids(submission) == []
        return
    (found,) = request_ids(submission)
    assert found[:2] == key_of(submission)[:2]
    assert found.answer is None if answer is None else answer in (found.answer or b"").replace(b" ", b"")


def test_rows_and_ids_are_added_in_the_order_of_the_submissions() -> None:
    group = Group(os.urandom(16), TODAY)
    known = Known(None, {"a": Metric(7, "value"), "b": Metric(3, "value")})
    keyed = RequestId(b"i" * 16, b"f" * 16, None)
    summary = {**item("b", 9 * UNIT), "count": 3, "min": 1, "max": 5}
    add(group, sent(item("a", 2 * UNIT), summary), known, [keyed])
    add(group, sent(item("b")), known, [])
    assert group.ids == [keyed]
    assert [row._replace(recorded_at=0) for row in group.rows] == [
        Row(7, 0, 2 * UNIT, None, None, None),
        Row(3, 0, 9 * UNIT, 3 * UNIT, UNIT, 5 * UNIT),
        Row(3, 0, UNIT, None, None, None),
    ]
    assert all(type(row) is Row for row in group.rows)


@pytest.mark.parametrize(
    ("coming", "attempts", "raised"),
    [
        ([], 1, None),
        ([Refused("an id")], 2, None),
        ([StaleNames("a name"), Refused("an id")], 3, None),
        ([Refused("an id")] * TRIES, TRIES, Refused),
        ([StaleNames("a name")] * (TRIES + 1), TRIES, StaleNames),
        ([StoreError("odd")], 1, StoreError),
        ([StoreUnavailable("away")], 1, StoreUnavailable),
        ([NotStored("full")], 1, NotStored),
        ([OutcomeUnknown("2013")], 1, OutcomeUnknown),
        ([Refused("an id"), OutcomeUnknown("2013")], 2, OutcomeUnknown),
    ],
)
async def test_only_what_the_store_refused_is_tried_again(
    names: Names, coming: list[Exception], attempts: int, raised: type[Exception] | None
) -> None:
    made, script = 0, list(coming)

    async def attempt() -> None:
        nonlocal made
        made += 1
        if script:
            raise script.pop(0)

    if raised is None:
        await try_until_taken(attempt, names)
    else:
        with pytest.raises(raised) as caught:
            await try_until_taken(attempt, names)
        assert type(caught.value) is raised
    assert made == attempts


@pytest.mark.parametrize(("error", "forgets"), [(StaleNames("a name"), True), (Refused("an id"), False)])
async def test_names_are_forgotten_where_one_was_deleted(names: Names, error: Refused, forgets: bool) -> None:
    held: list[bool] = []

    async def attempt() -> None:
        try:
            names.of("a")
            held.append(True)
        except KeyError:
            held.append(False)
        if len(held) == 1:
            raise error

    await try_until_taken(attempt, names)
    assert held == [True, not forgets]
