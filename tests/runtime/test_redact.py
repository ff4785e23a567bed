"""runtime/redact.py: keys are hidden wherever they stand, and no text is two lines."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.redact import hide_keys, one_line

SECRET = "S3cr-t_" * 6 + "x"
KEY = f"gf_q7w3k9x2m5ab_{SECRET}"


@pytest.mark.parametrize("around", ["{}", "'{}'", "X-API-Key: {}\\r\\n", '{{"a": "{}"}}', "x{}x", "/{}/{}?k={}"])
def test_only_the_public_id_of_a_key_is_shown(around: str) -> None:
    hidden = hide_keys(around.replace("{}", KEY))
    assert SECRET not in hidden
    assert "gf_q7w3k9x2m5ab_***" in hidden


@pytest.mark.parametrize("text", ["", "gf_", "gf_short_x", "a gf_Q7W3K9X2M5AB_x", "plain"])
def test_text_without_a_key_does_not_change(text: str) -> None:
    assert hide_keys(text) == text


@given(st.text())
def test_any_text_becomes_one_line(text: str) -> None:
    shown = one_line(text)
    assert len(shown.splitlines()) <= 1
    assert "\x1b" not in shown
