"""central/access/prefixes.py: which names a key covers, and which endpoints a limited key may use."""

import pytest

from central.access.prefixes import check_endpoint, check_names, covers, minimal
from central.errors import ApiError


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ([], ()),
        (["web.", "shop."], ("shop.", "web.")),
        (["a.b.", "a.", "a.b.c", "a.b."], ("a.",)),
        (["a.", "a", "a-"], ("a",)),
        (["shop.orders", "shop.orders2", "shop.o"], ("shop.o",)),
        (["a-b", "a.b", "a_b", "aB"], ("a-b", "a.b", "aB", "a_b")),
    ],
)
def test_prefixes_are_kept_in_order_and_none_covers_another(given: list[str], kept: tuple[str, ...]) -> None:
    assert minimal(given) == minimal(kept) == kept


@pytest.mark.parametrize(
    ("prefixes", "name", "covered"),
    [
        ((), "anything", True),
        (("shop.",), "shop.orders", True),
        (("shop.",), "shop.", True),
        (("shop.",), "shop", False),
        (("shop.",), "shopping.orders", False),
        (("shop.",), "Shop.orders", False),
        (("shop",), "shopping.orders", True),
        (("a.", "web."), "web.up", True),
        (("a.", "web."), "", False),
    ],
)
def test_a_name_is_covered_by_its_beginning(prefixes: tuple[str, ...], name: str, covered: bool) -> None:
    assert covers(prefixes, name) is covered
    if covered:
        check_names(prefixes, [name])
    else:
        with pytest.raises(ApiError) as refused:
            check_names(prefixes, [name])
        assert (refused.value.status, refused.value.code) == (403, "NAME_NOT_ALLOWED")
        assert f"it may use names that begin with {' or '.join(prefixes)}" in refused.value.message


@pytest.mark.parametrize(
    ("method", "path", "open_to_all"),
    [
        ("GET", "/api/metrics", True),
        ("HEAD", "/api/metrics", True),
        ("DELETE", "/api/metrics", False),
        ("POST", "/api/metrics/batch", True),
        ("GET", "/api/metrics/export", False),
        ("GET", "/api/admin/keys", False),
        ("GET", "/not/written/yet", False),
        ("GET", "", False),
    ],
)
def test_an_endpoint_is_closed_to_limited_keys_unless_it_is_listed(method: str, path: str, open_to_all: bool) -> None:
    check_endpoint((), method, path)
    if open_to_all:
        check_endpoint(("shop.",), method, path)
    else:
        with pytest.raises(ApiError, match="for keys that may use all names"):
            check_endpoint(("shop.",), method, path)
