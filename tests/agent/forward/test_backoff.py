"""How long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.forward.backoff import backoff, retry_after
from tests.agent.fakes import NOW


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 32), (6, 60), (7, 60), (10_000, 60)]
)
def test_the_ceiling_doubles_up_to_a_minute(failures: int, ceiling: float) -> None:
    assert backoff(failures, lambda low, high: high) == ceiling
    assert backoff(failures, lambda low, high: low) == 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 1),
        ("86400", 300),
        ("9" * 5_000, 300),
        ("Sun, 15 Feb 2026 00:00:42 GMT", 42),
        ("Sat, 14 Feb 2026 00:00:00 GMT", 1),
        ("Sun, 15 Feb 2026 23:00:00 GMT", 300),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("\u0663\u0660", None),
        ("later", None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert retry_after(text, NOW) == seconds


@given(st.text(max_size=40))
def test_whatever_retry_after_says_it_is_within_bounds(text: str) -> None:
    asked = retry_after(text, NOW)
    assert asked is None or 1 <= asked <= 300
