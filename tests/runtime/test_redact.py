"""runtime/redact.py: keys are hidden wherever they stand, and no text is two lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.redact import hide_keys, one_line

SECRET = "S3cr-t_" * 6 + "x"
KEY = f"gf_q7w3k9x2m5ab_{SECRET}"


@pytest.mark.parametrize("around", ["{}", "'{}'", "X-API-Key: {}\\r\\n", '{{"a": "{}"}}', "x{}x", "/{}/{}?k={}"])
def test_a_key_keeps_its_public_id_alone(around: str) -> None:
    hidden = hide_keys(around.replace("{}", KEY))
    assert SECRET not in hidden
    assert "gf_q7w3k9x2m5ab_***" in hidden


@pytest.mark.parametrize("text", ["", "gf_", "gf_short_x", "a gf_Q7W3K9X2M5AB_x", "plain"])
def test_what_is_no_key_stays(text: str) -> None:
    assert hide_keys(text) == text


@given(st.text())
def test_no_text_is_two_lines(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
