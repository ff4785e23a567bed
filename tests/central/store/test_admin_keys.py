"""central/store/admin_keys.py: which changes of a key lock everybody out."""

from typing import Any

import pytest

from central.store.admin_keys import is_live, locks_out
from central.store.base import KeyRow

NOW = 1_000


def key(number: int, scope: str = "admin", **fields: Any) -> KeyRow:
    return KeyRow(number, f"id{number}", "x", "h", frozenset({scope}), 1, 0, None)._replace(**fields)


@pytest.mark.parametrize(
    ("others", "changed", "expected"),
    [
        ([], {"revoked_at": NOW}, True),
        ([], {"scopes": frozenset({"query"})}, True),
        ([], {"expires_at": NOW + 9}, True),
        ([], {"rate_limit": 9}, False),
        ([key(2)], {"revoked_at": NOW}, False),
        ([key(2, revoked_at=1)], {"revoked_at": NOW}, True),
        ([key(2, "query")], {"revoked_at": NOW}, True),
        ([key(2, expires_at=NOW)], {"revoked_at": NOW}, True),
        ([key(2, expires_at=NOW + 9)], {"revoked_at": NOW}, True),
        ([key(2)], {"expires_at": NOW + 9}, False),
    ],
)
def test_a_change_that_brings_the_end_nearer(others: list[KeyRow], changed: dict[str, Any], expected: bool) -> None:
    assert locks_out([key(1), *others], key(1)._replace(**changed), NOW) is expected


def test_where_no_admin_key_lives_nothing_can_be_lost() -> None:
    assert not locks_out([key(1, revoked_at=1), key(2, "query")], key(2, "query", revoked_at=NOW), NOW)


@pytest.mark.parametrize(
    ("fields", "live"),
    [({}, True), ({"revoked_at": 1}, False), ({"expires_at": NOW}, False), ({"expires_at": NOW + 1}, True)],
)
def test_a_key_lives_until_it_is_revoked_or_expires(fields: dict[str, Any], live: bool) -> None:
    assert is_live(key(1, **fields), NOW) is live
