"""Random texts and random calls as targets: an answer, or an error that says what is wrong; never anything else."""

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from central.graphite.evaluate import Budget, Want, asks, evaluate, grown, resolve, wants
from central.graphite.functions.function import Function
from central.graphite.functions.table import FUNCTIONS
from central.graphite.lines import CONSOLIDATE, Line, Range
from central.graphite.targets import TargetError, parse_target
from tests.examples import examples

SPAN = Range(1_771_113_600, 1_771_113_600 + 20 * 60, 60)
PIECES = st.sampled_from([*"(),|'\"{}*. =;-1a", "scale(", "sumSeries(", "a.b", "1e3", "true", "'1h'"])
NUMBERS = st.one_of(st.integers(-1_000, 1_000), st.floats(-1e12, 1e12), st.just(10**8)).map(str)
TEXTS = st.sampled_from(
    ["'sum'", "'1h'", "'-2min'", "'0s'", "'a|b'", "'('", "'\\9'", "'>'", "true", "none", "inf", "1y"]
)
PATHS = st.sampled_from(["a.b", "a.*", "none.*", "a.gap", "seriesByTag('a=b')"])


FITTING: dict[str, st.SearchStrategy[str]] = {
    "integer": st.integers(-3, 12).map(str),
    "float": st.one_of(st.integers(-2, 100), st.floats(-2, 2)).map(str),
    "intOrInf": st.sampled_from(["0", "1", "5", "inf"]),
    "string": st.sampled_from(["'a'", "'(.*)'", "'max'", "'>'", "'='", "'\\1x'", "'[0-9]+'", "'%.b'", "'scale(%,2)'"]),
    "boolean": st.sampled_from(["true", "false"]),
    "interval": st.sampled_from(["'1min'", "'7min'", "'1h'", "'-2min'", "'+1d'", "'1s'", "'90s'"]),
    "date": st.sampled_from(["'-1h'", "'now'", "'1771113600'", "'midnight'"]),
    "intOrInterval": st.sampled_from(["1", "3", "10", "'1min'", "'5min'", "'1h'"]),
    "nodeOrTag": st.sampled_from(["0", "1", "-1", "9", "'name'", "'env'"]),
    "node": st.sampled_from(["0", "1", "-1", "9"]),
    "tag": st.sampled_from(["'name'", "'env'", "'none'"]),
    "aggFunc": st.sampled_from([f"'{way}'" for way in CONSOLIDATE]),
}
"""Arguments that fit the type of a parameter, and are sometimes extreme."""


def calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A call of any function: mostly with arguments that fit its parameters, sometimes with any."""
    return st.one_of(*[_call(name, function, inner) for name, function in FUNCTIONS.items()])


def _call(name: str, function: Function, inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    odd = st.one_of(inner, NUMBERS, TEXTS)
    arguments = [inner if parameter.of_lines else FITTING.get(parameter.type, odd) for parameter in function.parameters]
    fitting = st.tuples(*arguments)
    any_ = st.lists(odd, max_size=3).map(tuple)
    return st.one_of(fitting, fitting, fitting, any_).map(lambda given: f"{name}({','.join(given)})")


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
        node, found, budget = resolve(parse_target(target), SPAN), dict[Want, list[Line]](), Budget()
        while True:
            wanted = list(wants(node))
            if any(want.span.end - want.span.start > 10**7 for want in wanted):
                return  # the fetcher refuses so many numbers
            found |= {want: lines_of(want) for want in wanted}
            if not asks(node):
                break
            node = grown(node, found, budget)
        lines = evaluate(node, found, budget)
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


@settings(max_examples=examples(300))
@given(st.recursive(PATHS, calls, max_leaves=6))
@example("movingAverage(a.b,-1)")
@example("summarize(a.b,'-2min')")
@example("timeShift(a.b,'100y')")
@example("pow(a.b,1e9)")
@example("log(a.b,0)")
@example("delay(a.b,1000000000)")
def test_random_calls_are_computed_or_refused(target: str) -> None:
    computed(target)
