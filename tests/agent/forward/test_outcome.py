"""The outcome table of DESIGN, "Forward", row by row."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.forward.outcome import Action, Allowance, Reply, allowance, outcome

JSON = "application/json"


def error(code: Any = "VALIDATION_ERROR", message: Any = "value is required") -> bytes:
    return json.dumps({"success": False, "error": {"code": code, "message": message}}).encode()


def stored(accepted: Any = 3, rejected: Any = 0, errors: Any = (), success: Any = True) -> bytes:
    body = {"success": success, "accepted": accepted, "rejected": rejected, "errors": errors}
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("status", "content_type", "body", "action", "reason"),
    [
        (201, JSON, stored(), Action.ACK, "stored"),
        (201, "application/json; charset=utf-8", stored(), Action.ACK, "stored"),
        (201, "Application/JSON", stored(), Action.ACK, "stored"),
        # A 2xx that is not ours: a captive portal, a proxy, a half answer.
        (200, "text/html", b"<html>please log in</html>", Action.WAIT, "not_ours"),
        (200, JSON, stored(), Action.WAIT, "not_ours"),
        (202, JSON, stored(), Action.WAIT, "not_ours"),
        (204, "", b"", Action.WAIT, "not_ours"),
        (201, "text/html", stored(), Action.WAIT, "not_ours"),
        (201, "", stored(), Action.WAIT, "not_ours"),
        (201, JSON, b"", Action.WAIT, "not_ours"),
        (201, JSON, stored()[:-1], Action.WAIT, "not_ours"),
        (201, JSON, b"[]", Action.WAIT, "not_ours"),
        (201, JSON, b"[" * 100_000, Action.WAIT, "not_ours"),
        (201, JSON, b"\xff\xfe", Action.WAIT, "not_ours"),
        (201, JSON, stored(success=1), Action.WAIT, "not_ours"),
        (201, JSON, stored(success=False), Action.WAIT, "not_ours"),
        (201, JSON, stored(accepted=True), Action.WAIT, "not_ours"),
        (201, JSON, stored(accepted="3"), Action.WAIT, "not_ours"),
        (201, JSON, stored(accepted=2), Action.WAIT, "not_ours"),
        (201, JSON, stored(accepted=4), Action.WAIT, "not_ours"),
        (201, JSON, stored(accepted=4, rejected=-1), Action.WAIT, "not_ours"),
        (201, JSON, stored(accepted=2, rejected=1), Action.WAIT, "not_ours"),
        (201, JSON, stored(errors=None), Action.WAIT, "not_ours"),
        (201, JSON, stored(2, 1, [{"index": 3}]), Action.WAIT, "not_ours"),
        (201, JSON, stored(2, 1, [{"index": True}]), Action.WAIT, "not_ours"),
        (201, JSON, stored(2, 1, [7]), Action.WAIT, "not_ours"),
        (201, JSON, stored(1, 2, [{"index": 1}, {"index": 1}]), Action.WAIT, "not_ours"),
        # Wait.
        (408, "text/html", b"", Action.WAIT, "http_408"),
        (425, JSON, error(), Action.WAIT, "VALIDATION_ERROR"),
        (429, JSON, error("RATE_LIMITED"), Action.WAIT, "RATE_LIMITED"),
        (429, "text/plain", b"slow down", Action.SHOUT, "http_429"),
        (500, JSON, error("INTERNAL_ERROR"), Action.WAIT, "INTERNAL_ERROR"),
        (502, "text/html", b"bad gateway", Action.WAIT, "http_502"),
        (503, JSON, error("SERVICE_UNAVAILABLE"), Action.WAIT, "SERVICE_UNAVAILABLE"),
        (599, "", b"", Action.WAIT, "http_599"),
        # The key.
        (401, JSON, error("UNAUTHORIZED"), Action.HOLD, "UNAUTHORIZED"),
        (403, JSON, error("FORBIDDEN"), Action.HOLD, "FORBIDDEN"),
        # A stranger knows nothing of our keys.
        (401, "text/html", b"", Action.SHOUT, "http_401"),
        (403, "text/html", error("FORBIDDEN"), Action.SHOUT, "http_403"),
        (403, JSON, b'{"message": "Forbidden"}', Action.SHOUT, "http_403"),
        (403, JSON, stored(), Action.SHOUT, "http_403"),
        # Too large, for central or for a proxy.
        (413, JSON, error("BODY_TOO_LARGE"), Action.SPLIT, "BODY_TOO_LARGE"),
        (413, "text/html", b"", Action.SPLIT, "http_413"),
        # Other 4xx: ours is for good, a stranger's is not.
        (400, JSON, error(), Action.DEAD, "VALIDATION_ERROR"),
        (400, JSON, error("IDEMPOTENCY_KEY_REUSED"), Action.DEAD, "IDEMPOTENCY_KEY_REUSED"),
        (404, JSON, error("NOT_FOUND"), Action.DEAD, "NOT_FOUND"),
        (422, JSON, error(), Action.DEAD, "VALIDATION_ERROR"),
        (400, "text/html", b"bad request", Action.SHOUT, "http_400"),
        (404, "text/html", b"not found", Action.SHOUT, "http_404"),
        (404, "text/html", error(), Action.SHOUT, "http_404"),
        (400, JSON, stored(), Action.SHOUT, "http_400"),
        (400, JSON, error(code=7), Action.SHOUT, "http_400"),
        (400, JSON, error(code="no code\n"), Action.SHOUT, "http_400"),
        (400, JSON, error(message=None), Action.SHOUT, "http_400"),
        # Redirects and other strange things.
        (301, "text/html", b"", Action.SHOUT, "http_301"),
        (307, JSON, stored(), Action.SHOUT, "http_307"),
        (304, "", b"", Action.SHOUT, "http_304"),
        (101, "", b"", Action.SHOUT, "http_101"),
    ],
)
def test_outcome_table(status: int, content_type: str, body: bytes, action: Action, reason: str) -> None:
    result = outcome(Reply(status, content_type, body), items=3)
    assert (result.action, result.reason) == (action, reason)
    assert result.message


def test_rejected_items_come_with_their_codes() -> None:
    errors = [{"index": 2, "code": "METRIC_TYPE_CONFLICT"}, {"index": 0, "code": "<script>"}]
    result = outcome(Reply(201, JSON, stored(1, 2, errors)), items=3)
    assert result.action is Action.ACK
    assert result.rejected == ((2, "METRIC_TYPE_CONFLICT"), (0, "UNKNOWN"))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (201, b'{"success":false,"success":true,"accepted":1,"rejected":0,"errors":[]}'),
        (201, b'{"success":true,"accepted":0,"accepted":1,"rejected":0,"errors":[]}'),
        (201, b'{"success":true,"accepted":0,"rejected":1,"errors":[],"errors":[{"index":0,"code":"X"}]}'),
        (201, b'{"success":true,"accepted":0,"rejected":1,"errors":[{"index":1,"index":0,"code":"X"}]}'),
        (400, b'{"success":false,"error":{"code":"INVALID_JSON","message":"a"},"error":{"code":"X","message":"b"}}'),
        (400, b'{"success":false,"error":{"code":"RATE_LIMITED","code":"INVALID_JSON","message":"no"}}'),
    ],
)
def test_an_answer_with_a_field_twice_does_not_count(status: int, body: bytes) -> None:
    assert outcome(Reply(status, JSON, body), items=1).action in {Action.WAIT, Action.SHOUT}


@given(st.integers(100, 599), st.sampled_from([JSON, "text/html", ""]), st.binary(max_size=60))
def test_only_our_201_acknowledges(status: int, content_type: str, body: bytes) -> None:
    assert outcome(Reply(status, content_type, body), items=1).action is not Action.ACK


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["success", "accepted", "rejected", "errors", "error", "code", "message", "index"]),
                inner,
            )
        ),
    )
)
def test_any_json_has_an_outcome(body: Any) -> None:
    for status in (201, 400, 503):
        assert outcome(Reply(status, JSON, json.dumps(body).encode()), items=2).reason


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (("1000", "999", "7"), Allowance(1_000, 999, 7)),
        (("1", "0", "0"), Allowance(1, 0, 0)),
        (("1000", "999", "86400"), Allowance(1_000, 999, 60)),
        ((None, "999", "7"), None),
        (("1000", "999", None), None),
        (("0", "0", "7"), None),
        (("-1", "0", "7"), None),
        (("1000", "9.5", "7"), None),
        (("1" * 40, "0", "7"), None),
        (("\u0663", "0", "7"), None),
    ],
)
def test_the_rate_limit_headers_are_read(
    said: tuple[str | None, str | None, str | None], meant: Allowance | None
) -> None:
    limit, remaining, reset = said
    assert allowance(Reply(201, rate_limit=limit, rate_remaining=remaining, rate_reset=reset)) == meant
