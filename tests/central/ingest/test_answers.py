"""central/ingest/answers.py: answers as bytes."""

import json

import pytest

from central.errors import ApiError, unavailable
from central.ingest.answers import Answer, RejectedItem, batch_body, recorded, refused, refused_item, rejected_item
from protocol.item import Fault

FAULT = Fault("INVALID_NAME", "name", "name must be better")


@pytest.mark.parametrize(
    ("items", "rejected", "expected"),
    [
        (3, [], {"success": True, "accepted": 3, "rejected": 0, "errors": []}),
        (
            3,
            [rejected_item(1, 'ü\n"', FAULT), rejected_item(2, None, FAULT)],
            {
                "success": True,
                "accepted": 1,
                "rejected": 2,
                "errors": [
                    {"index": 1, "name": 'ü\n"', "code": "INVALID_NAME", "message": "name must be better"},
                    {"index": 2, "name": None, "code": "INVALID_NAME", "message": "name must be better"},
                ],
            },
        ),
    ],
)
def test_the_body_of_a_batch(items: int, rejected: list[RejectedItem], expected: object) -> None:
    assert json.loads(batch_body(items, rejected)) == expected


def test_a_replay_says_so_and_is_the_same_otherwise() -> None:
    assert recorded(b"x") == Answer(201, b"x", {})
    assert recorded(b"x", replayed=True) == Answer(201, b"x", {"Idempotency-Replayed": "true"})


def test_an_error_names_code_message_and_field() -> None:
    answer = refused_item(FAULT)
    assert answer.status == 400
    assert json.loads(answer.body) == {
        "success": False,
        "error": {"code": "INVALID_NAME", "message": "name must be better", "details": {"field": "name"}},
    }


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (unavailable("try again"), 503, {"Retry-After": "2"}),
        (ApiError(405, "METHOD_NOT_ALLOWED", "ü", headers={"Allow": "GET"}), 405, {"Allow": "GET"}),
    ],
)
def test_an_error_keeps_its_status_and_headers(error: ApiError, status: int, headers: dict[str, str]) -> None:
    answer = refused(error)
    assert (answer.status, answer.headers) == (status, headers)
    assert json.loads(answer.body)["error"]["message"] == error.message
