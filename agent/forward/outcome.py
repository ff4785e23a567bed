"""What an answer of central means for the batch that was sent (DESIGN, "Forward").

One table has all statuses. Only an answer in central's own JSON shape may end a batch's life. So a proxy's error page
or a captive portal can delay data but never lose it.
"""

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from runtime.redact import hide_keys, one_line


class Action(StrEnum):
    """What the sender does with the batch."""

    ACK = "ack"
    """Stored: forget it. ``Outcome.rejected`` says which items central refused."""
    WAIT = "wait"
    """Keep it and try again with back-off."""
    HOLD = "hold"
    """The key is refused: keep everything, try slowly, and report it."""
    SPLIT = "split"
    """Too large: send its two halves instead."""
    DEAD = "dead"
    """Central will never take it: set it aside and go on."""
    SHOUT = "wait_and_shout"
    """The answer is not central's: keep it, back off, and report that something stands between agent and central."""


class Reply(NamedTuple):
    """An answer. Header fields are as sent, None where the header is absent."""

    status: int
    content_type: str = ""
    body: bytes = b""
    retry_after: str | None = None
    date: str | None = None
    rate_limit: str | None = None
    """RateLimit-Limit: how many requests per minute the key may send."""
    rate_remaining: str | None = None
    """RateLimit-Remaining: how many of them are left in this minute."""
    rate_reset: str | None = None
    """RateLimit-Reset: seconds until the next minute."""
    renamed: str | None = None
    """Metrics-Renamed: the longer names of items whose own name belongs to another type."""
    clock_skew: str | None = None
    """Metrics-Clock-Skew: how many seconds a window may lie in central's future."""
    accepts: str | None = None
    """Metrics-Accepts: which fields the service takes that not every service knows."""
    process: str | None = None
    """Metrics-Process: the process of the service that answered."""


class Allowance(NamedTuple):
    """What a key may send: requests per minute, how many are left in this minute, seconds until the next."""

    limit: int
    remaining: int
    reset: int


def allowance(answer: Reply) -> Allowance | None:
    """What the RateLimit headers say. None unless all three are there and are numbers."""
    headers = (answer.rate_limit, answer.rate_remaining, answer.rate_reset)
    numbers = [int(text) for text in headers if text and text.isascii() and text.isdigit() and len(text) < 12]
    if len(numbers) != len(headers) or not numbers[0]:
        return None
    limit, remaining, reset = numbers
    return Allowance(limit, remaining, min(reset, 60))


class Outcome(NamedTuple):
    """``reason`` is a short word for counters, ``message`` a sentence for people.

    ``rejected`` is (index of the item, error code) for each refused item of a batch that was stored.
    ``alone``: the fault may be in this batch, so other batches wait for less time than this one.
    """

    action: Action
    reason: str
    message: str
    rejected: tuple[tuple[int, str], ...] = ()
    alone: bool = False


_BY_STATUS: Final[Mapping[int, Action]] = {408: Action.WAIT, 413: Action.SPLIT, 425: Action.WAIT}
"""Statuses that mean the same from central and from a proxy. 2xx, 5xx and other 4xx are decided below."""
_FOR_ALL: Final[Mapping[int, Action]] = {401: Action.HOLD, 403: Action.HOLD, 429: Action.WAIT}
"""Statuses that hold up all batches. So they count only in an answer in central's own shape."""
_OURS_ALONE: Final = 500
"""A fault in central. Another batch may not meet it."""

KEY_REUSED: Final = "IDEMPOTENCY_KEY_REUSED"
"""The id of the batch came before with other bytes."""
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,63}")


def outcome(answer: Reply, items: int) -> Outcome:
    """What ``answer`` to a batch of ``items`` items means."""
    status = answer.status
    body = our_body(answer)
    code, message = _error(body)
    text = message or f"the service answered {status}"
    if 200 <= status < 300:
        return _success(status, body, items)
    if status in _BY_STATUS:
        return Outcome(_BY_STATUS[status], code or f"http_{status}", text)
    if status in _FOR_ALL and code:
        return Outcome(_FOR_ALL[status], code, text)
    if status >= 500:
        return Outcome(Action.WAIT, code or f"http_{status}", text, alone=status == _OURS_ALONE)
    if status >= 400 and code:
        return Outcome(Action.DEAD, code, text)
    return Outcome(
        Action.SHOUT,
        f"http_{status}",
        f"an answer {status} that is not the service's: is CENTRAL_URL right, or is there a proxy in between?",
        alone=True,
    )


def our_body(answer: Reply) -> dict[str, Any] | None:
    """The JSON object of an answer in central's shape, else None.

    In that shape ``success`` is true or false, and no field comes twice.
    """
    if answer.content_type.partition(";")[0].strip().lower() != "application/json":
        return None
    try:
        body = json.loads(answer.body, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None
    if isinstance(body, dict) and isinstance(body.get("success"), bool):
        return body
    return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object for json.loads. Raises ValueError when a field comes twice, because either could be meant."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("a field is given twice")
    return fields


def _success(status: int, body: dict[str, Any] | None, items: int) -> Outcome:
    if status == 201 and body is not None and body["success"]:
        rejected = _rejected(body, items)
        if rejected is not None:
            return Outcome(Action.ACK, "stored", "stored", rejected)
    return Outcome(
        Action.WAIT,
        "not_ours",
        f"an answer {status} that is not the service's acknowledgement: is there a login page or a proxy in between?",
        alone=True,
    )


def _rejected(body: dict[str, Any], items: int) -> tuple[tuple[int, str], ...] | None:
    """The refused items. None unless the counts add up to ``items`` and each refused item has one error."""
    accepted, refused, errors = body.get("accepted"), body.get("rejected"), body.get("errors")
    if type(accepted) is not int or type(refused) is not int or not isinstance(errors, list):
        return None
    if accepted < 0 or refused != len(errors) or accepted + refused != items:
        return None
    codes: dict[int, str] = {}
    for error in errors:
        index = error.get("index") if isinstance(error, dict) else None
        if type(index) is not int or not 0 <= index < items:
            return None
        codes[index] = _code(error.get("code")) or "UNKNOWN"
    return tuple(codes.items()) if len(codes) == refused else None


def _error(body: dict[str, Any] | None) -> tuple[str | None, str | None]:
    """Code and message of an error in central's JSON shape, (None, None) for anything else."""
    error = body.get("error") if body is not None and not body["success"] else None
    if isinstance(error, dict) and isinstance(error.get("message"), str):
        code = _code(error.get("code"))
        if code:
            return code, hide_keys(one_line(error["message"][:500]))
    return None, None


def _code(code: object) -> str | None:
    """An error code that is safe as a label, else None. Free text would grow the counters without bound."""
    return code if isinstance(code, str) and _CODE.fullmatch(code) else None
