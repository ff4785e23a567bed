"""central/graphite/name_tree.py: the search finds what a look at each name would find."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.access.prefixes import covers, minimal
from central.graphite import name_tree
from central.graphite.name_tree import NameTree, Place
from central.query.globs import parse_globs

NAMES = [
    "shop.orders",
    "shop.orders.eu",
    "shop.orders-old",
    "shop-b.x",
    "shop",
    "shop.refunds.eu.web-1",
    "api..x",
    "a.",
]


def tree_of(names: list[str]) -> NameTree:
    tree = NameTree()
    if names:
        tree.add(list(enumerate(names, 1)))
    return tree


def by_brute_force(names: list[str], pattern: str) -> list[Place]:
    """Looks at the beginning of each name."""
    (glob,) = parse_globs(pattern)
    found: dict[str, Place] = {}
    for name in names:
        nodes = name.split(".")
        head = nodes[: len(glob)]
        if len(head) == len(glob) and all(node.matches(text) for node, text in zip(glob, head, strict=True)):
            path = ".".join(head)
            old = found.get(path, Place(path, is_name=False, is_folder=False))
            whole = len(nodes) == len(glob)
            found[path] = Place(path, old.is_name or whole, old.is_folder or not whole)
    return sorted(found.values())


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", "a/ api/ shop=/ shop-b/"),
        ("shop", "shop=/"),
        ("shop.*", "shop.orders=/ shop.orders-old= shop.refunds/"),
        ("shop.orders", "shop.orders=/"),
        ("shop.ord*", "shop.orders=/ shop.orders-old="),
        ("*.*.eu", "shop.orders.eu= shop.refunds.eu/"),
        ("api.*", "api./"),
        ("api..*", "api..x="),
        ("a.", "a.="),
        ("nothing.*", ""),
        ("shop.*.*.*", "shop.refunds.eu.web-1="),
        ("shop.orders.eu.x", ""),
    ],
)
def test_each_place_comes_once_with_what_it_is(pattern: str, found: str) -> None:
    places = tree_of(NAMES).search(parse_globs(pattern), 100)[0]
    shown = [f"{place.path}{'=' * place.is_name}{'/' * place.is_folder}" for place in places]
    assert sorted(shown) == sorted(found.split())
    assert places == by_brute_force(NAMES, pattern)


@given(
    st.lists(st.text("ab.-", min_size=1, max_size=6), unique=True),
    st.lists(st.text("ab*?-", max_size=3), min_size=1, max_size=4).map(".".join),
)
def test_the_search_finds_what_brute_force_finds(names: list[str], pattern: str) -> None:
    assert tree_of(names).search(parse_globs(pattern), 10_000)[0] == by_brute_force(names, pattern)


@given(
    st.lists(st.text("ab.-", min_size=1, max_size=6), unique=True),
    st.lists(st.text("ab.-", min_size=1, max_size=3), min_size=1, max_size=3).map(minimal),
    st.lists(st.text("ab*?-", max_size=3), min_size=1, max_size=4).map(".".join),
)
def test_with_prefixes_other_names_are_as_if_they_were_not_there(
    names: list[str], prefixes: tuple[str, ...], pattern: str
) -> None:
    own = [name for name in names if covers(prefixes, name)]
    assert tree_of(names).search(parse_globs(pattern), 10_000, prefixes)[0] == by_brute_force(own, pattern)


def test_names_added_later_are_found_too() -> None:
    tree = tree_of(["b.x"])
    tree.add([(7, "a.x"), (9, "c.x")])
    assert (len(tree), tree.last_id) == (3, 9)
    assert [place.path for place in tree.search(parse_globs("*.x"), 9)[0]] == ["a.x", "b.x", "c.x"]


def test_more_places_than_the_limit_are_refused() -> None:
    tree = tree_of(["a", "b", "c"])
    assert len(tree.search(parse_globs("{a,b,c}"), 3)) == 3
    for pattern in ("*", "{a,b,c}", "{a,*}"):
        with pytest.raises(ValueError, match="means too many"):
            tree.search(parse_globs(pattern), 2)


def test_all_patterns_of_a_search_share_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(name_tree, "MOST_LOOKED_AT", 10)
    tree = tree_of([f"a{number}.x" for number in range(4)])
    assert tree.search(parse_globs("*.x"), 9)
    for pattern in ("{,a}*.x", "*.{x,y,z}"):
        with pytest.raises(ValueError, match="looks at more than 10 nodes"):
            tree.search(parse_globs(pattern), 9)
