"""What is a name, and what becomes of what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.names import clean_name, is_name


@pytest.mark.parametrize("name", ["a", "api.requests", "db_query_time", "order-count", "A.b-C_9", ".", "n" * 255])
def test_a_name_of_the_service(name: str) -> None:
    assert is_name(name)
    assert clean_name(name) == name


@pytest.mark.parametrize("text", ["", "a b", "a/b", "a\n", "\u00e9", "\u0661", "a:b", "n" * 256])
def test_not_a_name_of_the_service(text: str) -> None:
    assert not is_name(text)


@pytest.mark.parametrize(
    ("text", "name"),
    [("a/b", "a-b"), ("a b", "a_b"), ("a,b$", "a_b_"), ("\u00e9t\u00e9", "_t_"), ("a\r\n", "a__"), ("\udcff", "_")],
)
def test_foreign_characters_are_replaced(text: str, name: str) -> None:
    assert clean_name(text) == name


@given(st.text(min_size=1, max_size=255))
def test_a_cleaned_text_is_a_name_of_the_same_length(text: str) -> None:
    assert is_name(clean_name(text))
    assert len(clean_name(text)) == len(text)
