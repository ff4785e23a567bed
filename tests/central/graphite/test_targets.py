"""The tree of a target, and the errors of what is none."""

import pytest

from central.graphite.targets import Call, Expression, Path, TargetError, parse_target


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a.b", Path("a.b")),
        (" a.{b,c}.*;env=prod ", Path("a.{b,c}.*;env=prod")),
        ("1min.load", Path("1min.load")),
        ("f()", Call("f", [])),
        ("f(a.b, 1, -2.5, 1e3)", Call("f", [Path("a.b"), 1, -2.5, 1000.0])),
        ("f(\"x, y\", 'it\\'s')", Call("f", ["x, y", "it's"])),
        ("f(true, False, none)", Call("f", [True, False, None])),
        ("f(a, n=2)", Call("f", [Path("a")], {"n": 2})),
        ("f(g(a), h(b))", Call("f", [Call("g", [Path("a")]), Call("h", [Path("b")])])),
        ("a|f(1)|g()", Call("g", (Call("f", (Path("a"), 1)),))),
        ("f(2xx.*)", Call("f", [Path("2xx.*")])),
    ],
)
def test_a_target_is_a_tree(text: str, tree: Expression) -> None:
    assert repr(parse_target(text)).replace("(", "[").replace(")", "]") == repr(tree).replace("(", "[").replace(
        ")", "]"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a path, a function, a number or a text should stand at character 1, where it has the end"),
        ("f(a", "f(...) should go on with ',' or ')' at character 4, where it has the end"),
        ("f(a))", "the target should end at character 5, where it has ')'"),
        ("f(a,)", "a path, a function, a number or a text should stand at character 5"),
        ("f(n=1, a)", "an argument without a name may not follow one with a name"),
        ("a|", "a function should follow '|' at character 3"),
        ("'text'", "a target is a path or a function, not a text or a number"),
        ("f(" * 40 + ")" * 40, "functions may stand in each other 32 deep"),
        ("f(" + ",".join(["f()"] * 500) + ")", "a target may call 500 functions"),
        ("a" * 20_000, "a target may have 16,384 characters; this one has 20,000"),
        ("f(1e999)", "the number 1e999 is too large"),
    ],
)
def test_a_text_that_is_no_target_says_where(text: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        parse_target(text)
    assert str(caught.value).startswith(message)
