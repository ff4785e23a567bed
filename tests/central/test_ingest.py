"""central/ingest.py: from a decoded body to a submission."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.errors import ApiError
from central.ingest import RequestKey, Submission, batch, request_key, single
from protocol.batch import Fault, Item
from protocol.limits import MAX_BATCH_ITEMS
from protocol.numbers import UNIT
from protocol.times import format_time

NOW = 1_771_113_600
GOOD = {"name": "a", "type": "value", "value": 1}


def in_batch(*items: object, now: float = NOW) -> Submission:
    return batch({"metrics": list(items)}, 7, now, 5)


def conflict(field: str = "name") -> Fault:
    return Fault("METRIC_TYPE_CONFLICT", field, "is a counter")


def body(submission: Submission) -> Any:
    return json.loads(submission.answer().body)


# --- singles


def test_a_counter_without_a_value_is_one_now() -> None:
    submission = single({"name": "a"}, "counter", 7, NOW + 0.9, 5)
    assert submission.items == [Item("a", "counter", UNIT, NOW)]
    assert (submission.key_id, submission.total, submission.places) == (7, 1, None)
    answer = submission.answer()
    assert (answer.status, answer.body) == (201, b'{"success":true,"message":"Counter metric recorded"}')


def test_a_value_is_kept_exactly() -> None:
    submission = single({"name": "a", "value": Decimal("9999999999999999.9999")}, "value", 7, NOW, 5)
    assert submission.items[0].value == 10**20 - 1
    assert submission.answer().body == b'{"success":true,"message":"Value metric recorded"}'


def test_a_single_that_breaks_a_rule_is_a_fault() -> None:
    with pytest.raises(Fault) as caught:
        single({"name": "a"}, "value", 7, NOW, 5)
    assert (caught.value.code, caught.value.field) == ("VALIDATION_ERROR", "value")


def test_a_single_rejected_later_is_a_400_and_not_remembered() -> None:
    submission = single({"name": "a"}, "counter", 7, NOW, 5)
    submission.request = RequestKey(bytes(16), bytes(16))
    assert submission.remembers()
    submission.reject({0: conflict()})
    answer = submission.answer()
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, "METRIC_TYPE_CONFLICT")
    assert submission.items == []
    assert not submission.remembers()


# --- batches


def test_a_batch_rejects_item_by_item_and_keeps_the_places() -> None:
    submission = in_batch(GOOD, 5, {"name": "b"}, GOOD | {"name": "c"}, GOOD | {"name": "\x00"}, GOOD | {"name": 3})
    assert [item.name for item in submission.items] == ["a", "c"]
    assert submission.places == [0, 3]
    assert body(submission) == {
        "success": True,
        "accepted": 2,
        "rejected": 4,
        "errors": [
            {"index": index, "name": name, "code": code, "message": submission.rejected[at].fault.message}
            for at, (index, name, code) in enumerate(
                [
                    (1, None, "VALIDATION_ERROR"),
                    (2, "b", "VALIDATION_ERROR"),
                    (4, "\x00", "INVALID_NAME"),
                    (5, None, "INVALID_NAME"),
                ]
            )
        ],
    }


def test_a_name_is_echoed_within_bounds() -> None:
    assert in_batch(GOOD | {"name": "n" * 100_000}).rejected[0].name == "n" * 255


def test_what_is_rejected_later_keeps_its_place_in_the_batch() -> None:
    submission = in_batch(*(GOOD | {"name": name} for name in "ab"), None, *(GOOD | {"name": name} for name in "cde"))
    submission.reject({1: conflict(), 3: conflict()})
    assert [item.name for item in submission.items] == ["a", "c", "e"]
    assert [(entry.place, entry.name) for entry in submission.rejected] == [(1, "b"), (2, None), (4, "d")]
    submission.reject({2: conflict()})
    assert [(entry.place, entry.name) for entry in submission.rejected] == [(1, "b"), (2, None), (4, "d"), (5, "e")]
    assert submission.places == [0, 3]
    assert (body(submission)["accepted"], body(submission)["rejected"]) == (2, 4)


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=4), max_size=4))
def test_rejecting_in_steps_counts_each_item_once(steps: list[list[int]]) -> None:
    submission = in_batch(*(GOOD | {"name": f"n{number}"} for number in range(10)))
    for step in steps:
        submission.reject({position: conflict() for position in step if position < len(submission.items)})
        assert submission.places is not None
        assert [f"n{place}" for place in submission.places] == [item.name for item in submission.items]
        assert all(entry.name == f"n{entry.place}" for entry in submission.rejected)
        places = sorted([*submission.places, *(entry.place for entry in submission.rejected)])
        assert places == list(range(10))


def test_a_batch_with_a_key_is_remembered_also_when_all_is_rejected() -> None:
    submission = in_batch(None)
    assert not submission.remembers()
    submission.request = RequestKey(bytes(16), bytes(16))
    assert submission.remembers()
    assert submission.answer().status == 201


def test_the_plain_body_is_what_nothing_rejected_would_have_said() -> None:
    assert json.loads(in_batch(GOOD, None).plain_body()) == body(in_batch(GOOD, GOOD))


@pytest.mark.parametrize(
    ("raw", "code", "field", "says"),
    [
        (None, "VALIDATION_ERROR", "metrics", '{"metrics": [...]}'),
        ([GOOD], "VALIDATION_ERROR", "metrics", '{"metrics": [...]}'),
        ({}, "VALIDATION_ERROR", "metrics", '{"metrics": [...]}'),
        ({"metrics": GOOD}, "VALIDATION_ERROR", "metrics", "1 to 1000"),
        ({"metrics": []}, "VALIDATION_ERROR", "metrics", "1 to 1000"),
        ({"metrics": [GOOD], "z": 1, "b": 2}, "VALIDATION_ERROR", "b", "'b', 'z'"),
        ({"metrics": [GOOD] * (MAX_BATCH_ITEMS + 1)}, "BATCH_TOO_LARGE", "metrics", "1001"),
    ],
)
def test_what_is_no_batch_is_refused(raw: object, code: str, field: str, says: str) -> None:
    with pytest.raises(ApiError) as caught:
        batch(raw, 7, NOW, 5)
    assert (caught.value.status, caught.value.code, caught.value.details["field"]) == (400, code, field)
    assert says in caught.value.message


def test_a_full_batch_is_taken() -> None:
    assert len(in_batch(*[GOOD] * MAX_BATCH_ITEMS).items) == MAX_BATCH_ITEMS


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01", "9999-12-31"])
def test_a_time_at_the_end_of_the_calendar_is_a_fault_of_its_item(text: str) -> None:
    (entry,) = in_batch(GOOD | {"recorded_at": text}).rejected
    assert entry.fault.field == "recorded_at"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(-7 * 86_400, None), (-7 * 86_400 - 1, "TIMESTAMP_TOO_OLD"), (5, None), (6, "TIMESTAMP_IN_FUTURE")],
)
def test_times_are_taken_from_seven_days_back_to_the_skew_ahead(seconds: int, code: str | None) -> None:
    submission = in_batch(GOOD | {"recorded_at": format_time(NOW + seconds)})
    assert [entry.fault.code for entry in submission.rejected] == ([code] if code else [])


# --- request keys


def test_a_request_without_a_header_has_no_key() -> None:
    assert request_key(1, None, "/p", b"x") is None


@pytest.mark.parametrize(
    ("other", "same_id", "same_fingerprint"),
    [
        ((1, "k", "/p", b"x"), True, True),
        ((1, "k", "/q", b"x"), True, False),
        ((1, "k", "/p", b"y"), True, False),
        ((2, "k", "/p", b"x"), False, True),
        ((1, "K", "/p", b"x"), False, True),
    ],
)
def test_the_id_is_of_key_row_and_header_and_the_fingerprint_of_path_and_body(
    other: tuple[int, str, str, bytes], same_id: bool, same_fingerprint: bool
) -> None:
    one, two = request_key(1, "k", "/p", b"x"), request_key(*other)
    assert one is not None
    assert two is not None
    assert (len(one.id), len(one.fingerprint)) == (16, 16)
    assert (one.id == two.id, one.fingerprint == two.fingerprint) == (same_id, same_fingerprint)


def test_key_row_and_header_do_not_run_together() -> None:
    one, two = request_key(1, "11", "/p", b"x"), request_key(11, "1", "/p", b"x")
    assert one != two


@pytest.mark.parametrize("header", ["", "k" * 256, "ü", "a\nb", "\x7f"])
def test_a_bad_header_is_named(header: str) -> None:
    with pytest.raises(ApiError) as caught:
        request_key(1, header, "/p", b"x")
    assert (caught.value.status, caught.value.details) == (400, {"field": "Idempotency-Key"})


@pytest.mark.parametrize("header", ["k", "k" * 255, " a ", "~!"])
def test_a_good_header_is_taken(header: str) -> None:
    assert request_key(1, header, "/p", b"x") is not None
