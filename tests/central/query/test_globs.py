"""central/query/globs.py: which nodes a pattern means."""

import fnmatch
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.query.globs import MOST_ALTERNATIVES, MOST_BRACES, Glob, literal, parse_globs


def meant(globs: list[Glob], path: str) -> bool:
    nodes = path.split(".")
    return any(
        len(glob) == len(nodes) and all(node.matches(text) for node, text in zip(glob, nodes, strict=True))
        for glob in globs
    )


@pytest.mark.parametrize(
    ("pattern", "paths", "others"),
    [
        ("a.b", ["a.b"], ["a", "a.b.c", "A.b", "axb"]),
        ("a.*", ["a.b", "a.", "a.b-c"], ["a", "a.b.c"]),
        ("*", ["a", ""], ["a.b"]),
        ("**", ["a"], ["a.b"]),
        ("a?c", ["abc"], ["a.c", "ac", "abbc"]),
        ("web-[0-9]", ["web-1"], ["web-x", "web-", "web-11"]),
        ("[!a]x", ["bx"], ["ax", ".x", "x"]),
        ("a.{b,c}.d", ["a.b.d", "a.c.d"], ["a.d.d", "a.{b,c}.d"]),
        ("{a.b,c}.d", ["a.b.d", "c.d"], ["a.d"]),
        ("x{,y}", ["x", "xy"], ["xz"]),
        ("{a{b,c},d*}", ["ab", "ac", "d", "dx"], ["a", "abc"]),
        ("a.{b}", ["a.b"], ["a.{b}"]),
        ("a..b", ["a..b"], ["a.b"]),
        ("", [""], ["a"]),
        ("a+b (c)", ["a+b (c)"], ["aab (c)"]),
    ],
)
def test_a_pattern_means_these_paths_and_not_others(pattern: str, paths: list[str], others: list[str]) -> None:
    globs = parse_globs(pattern)
    assert [path for path in [*paths, *others] if meant(globs, path)] == paths


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("a.{b,c", "'{' at character 3 that is never closed"),
        ("a.{b,{c}", "'{' at character 3 that is never closed"),
        ("a}.b", "'}' without a '{' at character 2"),
        ("a}.{b}", "'}' without a '{' at character 2"),
        ("a[b", "write one such as [a-z0-9]"),
        ("a]b", "write one such as [a-z0-9]"),
        ("a[]b", "write one such as [a-z0-9]"),
        ("a[b.c]", "write one such as [a-z0-9]"),
        ("{a,b}" * 11, f"more than {MOST_ALTERNATIVES:,} patterns"),
        ("{a}" * (MOST_BRACES + 1), f"more than {MOST_BRACES} pairs"),
        ("{" * 5_000, f"more than {MOST_BRACES} pairs"),
    ],
)
def test_a_wrong_pattern_says_what_is_wrong(pattern: str, fault: str) -> None:
    with pytest.raises(ValueError, match=re.escape(fault)):
        parse_globs(pattern)


def test_only_a_pattern_without_wildcards_is_literal() -> None:
    assert [literal(glob) for glob in parse_globs("a.{b,c*,d[x]}.e")] == ["a.b.e", None, None]


def test_many_stars_take_no_time_that_explodes() -> None:
    (glob,) = parse_globs("*a" * 100 + "b")
    assert not glob[0].matches("a" * 255)


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_wildcards_of_a_node_are_those_of_fnmatch(pattern: str, text: str) -> None:
    (glob,) = parse_globs(pattern)
    assert glob[0].matches(text) == fnmatch.fnmatchcase(text, pattern)
    assert text.startswith(glob[0].head) or not glob[0].matches(text)
