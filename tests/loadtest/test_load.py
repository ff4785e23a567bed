"""The load test's own arithmetic: quantiles, growth, and charts that any browser can draw."""

import xml.etree.ElementTree as ET
from collections import Counter

import pytest

from loadtest.load import Result, growth, table
from loadtest.plot import chart, page, time_marks
from loadtest.watch import HANDLES, LAG, MEMORY, Watch


def result(write_ms: list[float], read_ms: list[float], errors: int = 0) -> Result:
    times = {"write": Counter(round(ms * 10) for ms in write_ms), "read": Counter(round(ms * 10) for ms in read_ms)}
    return Result(60.0, times, {"write": Counter({"503": errors}), "read": Counter()}, Counter())


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1.0), (0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0)])
def test_a_quantile_is_a_time_that_was_measured(share: float, expected: float) -> None:
    assert result([float(ms) for ms in range(1, 101)], []).quantile("write", share) == expected


def test_no_requests_have_no_time() -> None:
    assert result([], []).quantile("read", 0.95) == 0.0


def watched(lag: float = 0.0, memory: list[float] | None = None) -> Watch:
    watch = Watch({}, {}, "")
    watch.points[LAG]["agent"] = [(0.0, lag)]
    for name in ("central 1", "central 2", "agent"):
        watch.points[MEMORY][name] = list(enumerate(memory or [1.0] * 100))
        watch.points[HANDLES][name] = [(float(at), 9.0) for at in range(100)]
    return watch


def test_a_row_fails_where_its_goal_is_missed() -> None:
    quick, slow = [1.0] * 10_000, [300.0] * 10_000
    good = [holds for *_, holds in table(result(quick, [1.0] * 1_000), watched())]
    assert good == [True] * 7
    bad = {what.partition(",")[0]: holds for what, _, _, holds in table(result(slow, [600.0], 200), watched(40.0))}
    assert bad == {
        "Write throughput": True,
        "Write latency": False,
        "Read throughput": False,
        "Read latency": False,
        "Error rate": False,
        "Queue lag": False,
        "100 keys": False,
    }


@pytest.mark.parametrize(
    ("memory", "holds"),
    [
        ([100.0] * 100, True),
        ([10.0] * 25 + [100.0] * 75, True),
        ([100.0 + at / 10 for at in range(100)], True),
        ([100.0 + at for at in range(100)], False),
    ],
)
def test_memory_may_settle_and_must_not_grow(memory: list[float], holds: bool) -> None:
    of_memory, of_handles = growth(watched(memory=memory))
    assert (of_memory[3], of_handles[3]) == (holds, True)


@pytest.mark.parametrize("values", [[], [0.0], [0.003, 0.001], [5.0] * 50, [1e9, 3.0]])
def test_a_chart_is_whole_and_within_its_frame(values: list[float]) -> None:
    drawn = ET.fromstring(chart("a < b", {"<x>": [(float(at), value) for at, value in enumerate(values)]}))
    frame = [float(part) for part in drawn.attrib["viewBox"].split()]
    for line in drawn.iter("polyline"):
        for point in line.attrib["points"].split():
            x, y = map(float, point.split(","))
            assert frame[0] <= x <= frame[2]
            assert frame[1] <= y <= frame[3]


def test_the_report_escapes_its_text_and_loads_nothing() -> None:
    text = page("t", [("<b>", "1", "2", False), ("x", "", "", None)], [chart("c", {})], "")
    assert "<td>&lt;b&gt;</td>" in text
    assert "FAIL" in text
    assert "http" not in text


@pytest.mark.parametrize(
    ("seconds", "labels"),
    [
        (0.5, ["0 s"]),
        (59.8, ["0 s", "10 s", "20 s", "30 s", "40 s", "50 s"]),
        (617, ["0 min", "2 min", "4 min", "6 min", "8 min", "10 min"]),
        (14_400, ["0 h", "1 h", "2 h", "3 h", "4 h"]),
    ],
)
def test_marks_of_time_are_round(seconds: float, labels: list[str]) -> None:
    assert [label for _, label in time_marks(seconds)] == labels
