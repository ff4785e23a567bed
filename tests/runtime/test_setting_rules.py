"""runtime/setting_rules.py: each rule as a table of what it takes, and what it says of the rest."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import setting_rules as rules

RULES = (
    rules.text,
    rules.whole(1, 9),
    rules.one_of("open", "shut"),
    rules.yes_or_no,
    rules.address("127.0.0.1:80"),
    rules.path,
)


@pytest.mark.parametrize(
    ("rule", "taken", "value"),
    [
        (rules.text, "a", "a"),
        (rules.whole(0, 9), "0", 0),
        (rules.whole(0, 9), "009", 9),
        (rules.whole(0, 9), 9, 9),
        (rules.one_of("open", "shut"), "shut", "shut"),
        (rules.yes_or_no, "YES", True),
        (rules.yes_or_no, "0", False),
        (rules.yes_or_no, True, True),
        (rules.address("127.0.0.1:80"), "[::1]:0", ("::1", 0)),
        (rules.path, "a/b", Path("a/b")),
        (rules.path, "~", Path.home()),
    ],
)
def test_each_rule_accepts_good_values(rule: rules.Rule, taken: Any, value: Any) -> None:
    assert rule(taken) == value


@pytest.mark.parametrize(
    ("rule", "refused", "says"),
    [
        (rules.text, 5, "must be text"),
        (rules.whole(1, 9), "0", "is '0'; it must be a whole number from 1 to 9"),
        (rules.whole(1, 9, why="so it is"), "10", "is '10'; it must be a whole number from 1 to 9 (so it is)"),
        (rules.whole(1, 9), True, "is True; it must be a whole number from 1 to 9"),
        (rules.whole(1, 9), 1.0, "is 1.0; it must be a whole number from 1 to 9"),
        (rules.whole(1, 9), "٣", "is '٣'; it must be a whole number from 1 to 9"),
        (rules.one_of("open", "shut"), "ajar", "is 'ajar'; it must be open or shut"),
        (rules.one_of("open", right="open, or nothing"), [], "is []; it must be open, or nothing"),
        (rules.yes_or_no, "on", "is 'on'; it must be one of true, 1, yes, false, 0, no"),
        (
            rules.address("127.0.0.1:80"),
            "80",
            "is '80'; it must be host:port such as 127.0.0.1:80, an IPv6 address in brackets ([::1]:80)",
        ),
        (rules.path, "", "is ''; it must be a path"),
        (rules.path, "a\0b", r"is 'a\x00b'; it must be a path"),
    ],
)
def test_each_rule_refuses_bad_values_with_a_sentence(rule: rules.Rule, refused: Any, says: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        rule(refused)
    assert str(caught.value) == says


@given(
    st.sampled_from(RULES),
    st.one_of(st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.text()), st.dates(), st.none()),
)
def test_a_rule_takes_a_value_or_raises_one_short_line(rule: rules.Rule, value: Any) -> None:
    try:
        rule(value)
    except ValueError as error:
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 300


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (None, "which cannot be read: No such file or directory"),
        (b"one\ntwo", "which holds more than a line; it must hold the secret alone"),
        (b"\xff", "which holds no text; it must hold the secret in one line"),
    ],
)
def test_a_file_that_holds_no_secret_is_named_and_not_shown(tmp_path: Path, held: bytes | None, says: str) -> None:
    file = tmp_path / "secret"
    if held is not None:
        file.write_bytes(held)
    with pytest.raises(ValueError, match="which") as caught:
        rules.secret_in(str(file))
    assert str(caught.value).endswith(says)
    assert "two" not in str(caught.value)
