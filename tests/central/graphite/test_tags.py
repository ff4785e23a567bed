"""central/graphite/tags.py and Finder.by_tags: which series expressions mean, on both stores."""

import re
from collections.abc import Sequence

import pytest

from central.graphite.paths import Finder, Leaf
from central.graphite.tags import parse_expressions
from central.ingest.names import Names
from central.store.base import Store
from central.store.series import NewSeries
from protocol.tags import MAX_TAGS
from tests.central.store_help import CAPS, NOW, SERIES_CAPS, name

SERIES = {
    "shop.orders": ["env:prod,host:web-1", "env:prod,host:web-2", "env:test,host:web-1"],
    "shop.checkout_ms": ["env:prod,host:web-1", "name:x"],
    "api.requests": ["host:db-1"],
    "plain": [],
}


async def finder_of(store: Store) -> Finder:
    for text, tags in SERIES.items():
        metric = await name(store, text, "value" if text.endswith("ms") else "counter")
        if tags:
            await store.series.resolve([NewSeries(metric.id, one) for one in tags], SERIES_CAPS, NOW)
    return Finder(store, Names(store, CAPS, SERIES_CAPS))


async def test_expressions_choose_series_of_a_name(store: Store) -> None:
    cases: list[tuple[list[str], list[str]]] = [
        (
            ["name=shop.orders"],
            ["", ";env=prod;host=web-1", ";env=prod;host=web-2", ";env=test;host=web-1"],
        ),
        (["name=shop.orders", "env=prod", "host!=web-1"], [";env=prod;host=web-2"]),
        (["name=shop.orders", "env="], [""]),
        (["name=shop.orders", "env!="], [";env=prod;host=web-1", ";env=prod;host=web-2", ";env=test;host=web-1"]),
        (["name=shop.orders", "host=~web-[2-9]"], [";env=prod;host=web-2"]),
        (["name=shop.orders", "host!=~web-1|db"], ["", ";env=prod;host=web-2"]),
        (["name=shop.orders", "host=~eb-1"], []),
        (["name=shop.orders", "host=~.*2"], [";env=prod;host=web-2"]),
        (["name=shop.orders", "host=~web$"], []),
    ]
    finder = await finder_of(store)
    for expressions, found in cases:
        leaves = await finder.by_tags(expressions, 99)
        assert [leaf.path for leaf in leaves] == [f"shop.orders{tags}" for tags in found], expressions


async def test_expressions_choose_names_by_path(store: Store) -> None:
    cases: list[tuple[list[str], list[str]]] = [
        (["name=shop.checkout_ms.p99.9", "env=prod"], ["shop.checkout_ms.p99.9;env=prod;host=web-1"]),
        (["host=db-1"], ["api.requests;host=db-1"]),
        (["host=~db|nothing"], ["api.requests;host=db-1"]),
        (["host=web-1", "name!=shop.orders"], ["shop.checkout_ms;env=prod;host=web-1"]),
        (["host=web-1", "name!=~shop[.]ord"], ["shop.checkout_ms;env=prod;host=web-1"]),
        (
            ["host=web-1", r"name=~^shop\..*\.(su|p95)"],
            [
                "shop.checkout_ms.p95;env=prod;host=web-1",
                "shop.checkout_ms.sum;env=prod;host=web-1",
                "shop.orders.sum;env=prod;host=web-1",
                "shop.orders.sum;env=test;host=web-1",
            ],
        ),
        ([r"name=~shop\.orders\.sum$", "env=test"], ["shop.orders.sum;env=test;host=web-1"]),
        (["name=~plain", "name=~.*m(in|ax)"], ["plain.max", "plain.min"]),
        (["name=plain.sum"], ["plain.sum"]),
        (["name=nothing"], []),
        (["name=no name"], []),
        (["name=*"], []),
        (["nothing=x"], []),
    ]
    finder = await finder_of(store)
    for expressions, found in cases:
        leaves = await finder.by_tags(expressions, 99)
        assert [leaf.path for leaf in leaves] == found, expressions


async def test_a_line_of_a_series_has_its_id_and_tags(store: Store) -> None:
    finder = await finder_of(store)
    (leaf,) = await finder.by_tags(["name=shop.checkout_ms.p95", "env=prod"], 1)
    metric = await name(store, "shop.checkout_ms", "value")
    wanted = NewSeries(metric.id, "env:prod,host:web-1")
    assert (leaf.metric, leaf.operation) == (metric, "p95")
    assert leaf.series_id == (await store.series.find([wanted]))[wanted].id
    assert leaf.tags == {"env": "prod", "host": "web-1", "name": "shop.checkout_ms.p95"}
    (without,) = await finder.by_tags(["name=plain"], 1)
    assert (without.series_id, without.tags) == (0, {"name": "plain"})


async def test_more_lines_than_the_limit_are_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="means more than 3 lines"):
        await (await finder_of(store)).by_tags(["name=shop.orders"], 3)


@pytest.mark.parametrize(
    ("expressions", "fault"),
    [
        ([], "must have an expression that needs a tag"),
        (["env=", "host!=x", "a=~.*"], "must have an expression that needs a tag"),
        (["env"], "has 'env'; an expression is like env=prod"),
        (["env~x"], "has 'env~x'; an expression is like env=prod"),
        (["=x"], "has the key ''"),
        (["1a=x"], "has the key '1a'"),
        (["env=~a("], "has the regular expression 'a(', which is none: missing ): a("),
        (["env=~(?=a)"], "has the regular expression '(?=a)', which is none"),
        (["env=~\udc80"], "which is no UTF-8"),
        (["env=~" + "a" * 5_000], "longer than 4,000 characters"),
        (["env=~(a{900}){900}"], "which is none"),
        ([f"k{number}=x" for number in range(MAX_TAGS + 1)], f"at most {MAX_TAGS} expressions"),
    ],
    ids=range(12),
)
def test_a_wrong_expression_says_what_is_wrong(expressions: list[str], fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        parse_expressions(expressions)


def test_a_regular_expression_takes_no_time_that_explodes() -> None:
    (expression,) = parse_expressions(["env=~(a+)+b"])
    assert not expression.holds("a" * 5_000)


class Counting(Finder):
    """Counts its searches by tags."""

    searches = 0

    async def by_tags(self, expressions: Sequence[str], limit: int) -> list[Leaf]:
        self.searches += 1
        return await super().by_tags(expressions, limit)


async def test_the_series_of_one_path_are_looked_up_together(store: Store) -> None:
    await finder_of(store)
    paths = ["shop.orders.sum", "shop.orders"]
    tags = [";env=prod;host=web-1", ";host=web-2;env=prod", ";env=test;host=web-1"]
    missing = ["shop.orders;env=prod", "shop.orders;env=prod;host=web-1;a=b", "nothing;env=prod"]
    texts = [f"{path}{some}" for path in paths for some in tags]
    for limit, searches in ((99, 3), (3, 3 + len(texts) + 2)):  # a path of 4 series is searched series by series
        finder = Counting(store, Names(store, CAPS, SERIES_CAPS))
        found = await finder.series_of([*texts, *missing], limit)
        assert {text: [(leaf.name, leaf.tags["host"]) for leaf in leaves] for text, leaves in found.items()} == {
            **{text: [("shop.orders", "web-2" if "web-2" in text else "web-1")] for text in texts},
            **{text: [] for text in missing},
        }
        assert finder.searches == searches, limit
    with pytest.raises(ValueError, match="an expression is like"):
        await finder.series_of(["shop.orders;env=prod", "shop.orders;env"], 99)
