"""Random texts and random calls as targets: an answer, or an error that says what is wrong; never anything else."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from central.graphite.evaluate import Budget, Want, evaluate, resolve, wants
from central.graphite.functions.table import FUNCTIONS
from central.graphite.lines import Line, Range
from central.graphite.targets import TargetError, parse_target

SPAN = Range(1_771_113_600, 1_771_113_600 + 20 * 60, 60)
PIECES = st.sampled_from([*"(),|'\"{}*. =;-1a", "scale(", "sumSeries(", "a.b", "1e3", "true", "'1h'"])
NUMBERS = st.one_of(st.integers(-1_000, 1_000), st.floats(-1e12, 1e12), st.just(10**8)).map(str)
TEXTS = st.sampled_from(
    ["'sum'", "'1h'", "'-2min'", "'0s'", "'a|b'", "'('", "'\\9'", "'>'", "true", "none", "inf", "1y"]
)
PATHS = st.sampled_from(["a.b", "a.*", "none.*", "a.gap", "seriesByTag('a=b')"])


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A call of any function with any arguments."""
    arguments = st.lists(st.one_of(inner, NUMBERS, TEXTS), max_size=3)
    return st.builds(
        lambda name, first, others: f"{name}({','.join([first, *others])})",
        st.sampled_from(sorted(FUNCTIONS)),
        inner,
        arguments,
    )


def lines_of(want: Want) -> list[Line]:
    """Two lines, the second with gaps; one only with gaps; or none."""
    count = max(0, (want.span.end - want.span.start) // want.span.step)
    values = np.arange(count, dtype=np.float64)
    gaps = np.where(values % 3 == 0, values - 5, np.nan)
    empty = np.full(count, np.nan)
    chosen = {"a.b": [values], "a.gap": [empty], "none.*": []}.get(want.text, [values, gaps])
    return [
        Line(f"a.{place}", want.span.start, want.span.step, numbers, want.text, {"name": f"a.{place}"})
        for place, numbers in enumerate(chosen)
    ]


def computed(target: str) -> None:
    """Compute it. Every line has a step and numbers that JSON can hold, or the target has an error."""
    try:
        node = resolve(parse_target(target), SPAN)
        wanted = list(wants(node))
        if any(want.span.end - want.span.start > 10**7 for want in wanted):
            return  # the fetcher refuses so many numbers
        lines = evaluate(node, {want: lines_of(want) for want in wanted}, Budget())
    except TargetError as error:
        assert str(error)
        return
    for line in lines:
        assert line.step > 0
        assert not np.isinf(line.values).any()
        assert line.values.dtype == np.float64


@given(st.lists(PIECES, max_size=30).map("".join))
def test_a_random_text_is_computed_or_refused(target: str) -> None:
    computed(target)


@given(st.recursive(PATHS, calls, max_leaves=6))
@example("movingAverage(a.b,-1)")
@example("summarize(a.b,'-2min')")
@example("timeShift(a.b,'100y')")
@example("pow(a.b,1e9)")
@example("log(a.b,0)")
@example("delay(a.b,1000000000)")
def test_random_calls_are_computed_or_refused(target: str) -> None:
    computed(target)
