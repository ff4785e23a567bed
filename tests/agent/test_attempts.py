"""Attempts that fail are counted by job and logged once with their cause."""

import asyncio

import pytest

from agent.attempts import Attempts
from tests.agent.fakes import EventLog


def test_a_failure_is_counted_each_time_and_logged_once() -> None:
    events = EventLog()
    attempts = Attempts(events)
    for _ in range(3):
        with attempts.guard("flush"):
            raise OSError(24, "Too many open files")
    assert (attempts.failures["flush"], attempts.failures["replay"]) == (3, 0)
    assert attempts.failing["flush"].startswith("OSError: [Errno 24] Too many open files at ")
    with attempts.guard("flush"):
        pass
    assert attempts.failing == {}
    assert list(events) == ["attempt_failed", "attempt_works_again"]


def test_a_cancellation_passes() -> None:
    attempts = Attempts(EventLog())
    with pytest.raises(asyncio.CancelledError), attempts.guard("forward"):
        raise asyncio.CancelledError
    assert attempts.failures["forward"] == 0
