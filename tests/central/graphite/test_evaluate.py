"""What a target needs of the store, and how much work it may be."""

import numpy as np
import pytest

from central.graphite.evaluate import Budget, Want, evaluate, resolve, wants
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
    [("a", 0), ("scale(a,2)", 200), ("scale(scale(a,2),2)", 400), ("movingAverage(a,10)", 1_200)],
)
def test_work_beyond_the_budget_is_refused(target: str, work: int) -> None:
    node = resolve(parse_target(target), SPAN)

    def lines(want: Want) -> list[Line]:
        count = (want.span.end - want.span.start) // want.span.step
        return [Line("a", want.span.start, 60, np.ones(count), "a")]

    found = {want: lines(want) for want in wants(node)}
    assert len(evaluate(node, found, Budget(work))) == 1
    if work:
        with pytest.raises(TargetError, match="compute too many numbers"):
            evaluate(node, found, Budget(work - 1))
