"""What a target needs of the store, and how much work it may be."""

import numpy as np
import pytest

from central.graphite.evaluate import Budget, Want, asks, evaluate, grown, resolve, wants
from central.graphite.functions.table import FUNCTIONS
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError, parse_target

SPAN = Range(6_000, 12_000, 60)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ("a.b", [("a.b", SPAN, None)]),
        ("sumSeries(a.b,c.*)", [("a.b", SPAN, None), ("c.*", SPAN, None)]),
        ("scale(seriesByTag('a=b'),2)", [("seriesByTag('a=b')", SPAN, None)]),
        ("movingAverage(a.b,10)", [("a.b", Range(5_400, 12_000, 60), None)]),
        ("movingAverage(a.b,'90s')", [("a.b", Range(5_880, 12_000, 60), None)]),
        ("movingAverage(summarize(a.b,'10min'),4)", [("a.b", Range(3_600, 12_000, 60), (600, "sum"))]),
        ("movingMax(scale(summarize(a.b,'90s'),2),2)", [("a.b", Range(5_760, 12_000, 60), None)]),
        ("movingSum(hitcount(a.b,'5min'),10)", [("a.b", Range(3_000, 12_000, 60), None)]),
        ("movingMin(summarize(a.b,'10min'),'15min')", [("a.b", Range(4_800, 12_000, 60), (600, "sum"))]),
        ("movingAverage(movingSum(summarize(a.b,'10min'),2),3)", [("a.b", Range(3_000, 12_000, 60), (600, "sum"))]),
        ("timeShift(a.b,'10min')", [("a.b", Range(5_400, 11_400, 60), None)]),
        ("timeShift(movingSum(a.b,1),'+10min')", [("a.b", Range(6_540, 12_600, 60), None)]),
        ("summarize(a.b,'1h')", [("a.b", SPAN, (3_600, "sum"))]),
        ("summarize(a.b,'10min','avg')", [("a.b", SPAN, (600, "average"))]),
        ("summarize(a.b,'90s')", [("a.b", SPAN, None)]),
        ("summarize(a.b,'90min')", [("a.b", SPAN, None)]),
        ("summarize(a.b,'1h','sum',true)", [("a.b", SPAN, None)]),
        ("summarize(scale(a.b,2),'1h')", [("a.b", SPAN, None)]),
        ("constantLine(1)", []),
    ],
)
def test_a_target_says_which_lines_it_needs(
    target: str, wanted: list[tuple[str, Range, tuple[int, str] | None]]
) -> None:
    found = wants(resolve(parse_target(target), SPAN))
    assert [(want.text, want.span, want.exact) for want in found] == wanted


@pytest.mark.parametrize(
    ("target", "work"),
    [("a", 0), ("scale(a,2)", 400), ("scale(scale(a,2),2)", 800), ("movingAverage(a,10)", 1_400)],
)
def test_work_beyond_the_budget_is_refused(target: str, work: int) -> None:
    """A line counts as 100 numbers more than it has, as it is read and as it is made."""
    node = resolve(parse_target(target), SPAN)

    def lines(want: Want) -> list[Line]:
        count = (want.span.end - want.span.start) // want.span.step
        return [Line("a", want.span.start, 60, np.ones(count), "a")]

    found = {want: lines(want) for want in wants(node)}
    assert len(evaluate(node, found, Budget(work))) == 1
    if work:
        with pytest.raises(TargetError, match="compute too many numbers"):
            evaluate(node, found, Budget(work - 1))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_unknown_argument_is_named_before_one_that_is_missing(name: str) -> None:
    parameters = ", ".join(one.name for one in FUNCTIONS[name].parameters)
    for arguments in ("", "a.b,"):
        with pytest.raises(TargetError) as caught:
            resolve(parse_target(f"{name}({arguments}misspelt=2)"), SPAN)
        assert str(caught.value) == f"{name}: misspelt is not a parameter; it has {parameters}"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("scale(a,fact=2)", "scale: fact is not a parameter; it has seriesList, factor"),
        ("scale(a,2,factor=2)", "scale: factor is given twice"),
        ("scale(a)", "scale: factor is missing"),
        (
            "seriesByTag('a=b',tags='c=d')",
            "seriesByTag: tags is not a parameter; it has tagExpressions, such as 'env=prod'",
        ),
    ],
)
def test_a_call_with_wrong_arguments_says_which(target: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        resolve(parse_target(target), SPAN)
    assert str(caught.value) == message


def _named(*names: str) -> list[Line]:
    return [Line(name, SPAN.start, 60, np.arange(3.0), name) for name in names]


@pytest.mark.parametrize(
    ("target", "further"),
    [
        ("applyByNode(a,1,'sumSeries(%.*)')", ["x.b.*", "x.c.*"]),
        ("applyByNode(a,0,'%.z')", ["x.z"]),
        ("scale(applyByNode(a,9,'%'),2)", ["x.b.n", "x.c.n"]),
        ("useSeriesAbove(a,1,'n$','m')", ["x.b.m", "x.c.m"]),
        ("useSeriesAbove(a,2,'n$','m')", []),
        ("aliasQuery(a,'n$','m','%d')", ["x.b.m", "x.c.m"]),
        ("timeShift(useSeriesAbove(a,1,'x.(.).n','y(\\\\1)'),'10min')", None),
        ("applyByNode(a,0,'(')", None),
    ],
)
def test_lines_say_which_further_targets_are_needed(target: str, further: list[str] | None) -> None:
    node = resolve(parse_target(target), SPAN)
    (want,) = wants(node)
    found = {want: _named("x.b.n", "x.c.n")}
    assert asks(node)
    if further is None:
        with pytest.raises(TargetError, match="asks for '"):
            grown(node, found, Budget())
        return
    whole = grown(node, found, Budget())
    assert not asks(whole)
    assert [one.text for one in wants(whole)] == ["a", *further]
    assert {one.span for one in wants(whole)} == {SPAN}


@pytest.mark.parametrize("target", ["applyByNode(a,0,'b')", "applyByNode(a,0,'%s')" % ("%" * 8_000)])
def test_too_many_or_too_long_further_targets_are_refused(target: str) -> None:
    node = resolve(parse_target(target), SPAN)
    (want,) = wants(node)
    with pytest.raises(TargetError, match=r"a request may ask for 2,000 further targets, of 400,000 characters in all"):
        grown(node, {want: _named(*(f"host-{number:0200}" for number in range(2_001)))}, Budget())
