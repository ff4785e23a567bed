"""central/query/render.py: from buckets to text, byte for byte what plain Python would write."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.query.columns import columns_of
from central.query.formats import FORMATS
from central.query.groups import NO_KEY, AnswerLine
from central.query.operations import SUMMARIES
from central.query.parameters import Query
from central.query.render import Notes
from central.query.render import render as render_columns
from central.query.values import Values
from central.query.windows import windows_between
from central.store.buckets import Buckets
from central.store.distribution import Distribution, no_spread
from central.store.plan import WINDOWS
from protocol.numbers import MAX_UNITS, UNIT, divide_half_even, units_to_text
from protocol.times import format_time, parse_time
from tests.central.store_help import Bucket, columns
from tests.examples import examples

START = 1_771_027_200
H = 3600
Ids = Mapping[str, int]


def query(names: str = "a", operation: str = "sum", window: str = "1h", **changes: Any) -> Query:
    """A query of the 14th of February 2026 unless the arguments say otherwise."""
    asked = Query(tuple(names.split(",")), tuple(operation.split(",")), window, START, START + 24 * H, None)
    return asked._replace(**changes)


def render(asked: Query, ids: Ids, summaries: Buckets, notes: Notes | None = None) -> bytes:
    """The answer from summaries alone; no name is a counter."""
    windows = windows_between(asked.start, asked.end, asked.seconds)
    made = columns_of(asked, Distribution(summaries, no_spread()), [], windows)
    lines = [AnswerLine(name, ids.get(name, NO_KEY)) for name in asked.names]
    return render_columns(asked, lines, summaries, made, notes or Notes())


def draw(asked: Query, buckets: Sequence[Bucket], ids: Ids | None = None, *, partial: bool = False) -> bytes:
    return render(asked, {"a": 1} if ids is None else ids, columns(buckets), Notes(partial=partial))


def answer(asked: Query, buckets: Sequence[Bucket], ids: Ids | None = None) -> Any:
    return json.loads(draw(asked, buckets, ids), parse_float=Decimal)


def value(operation: str, bucket: Bucket, *, wide: bool = False) -> str:
    """The text of the value of a single bucket."""
    text = render(query(operation=operation), {"a": 1}, columns([bucket], wide=wide)).decode()
    return text.split('"value":')[1].split("}")[0]


def test_an_answer_of_one_name_is_a_list() -> None:
    buckets = [Bucket(1, START, 2 * UNIT, 15_000_000, 0, 0), Bucket(1, START + H, UNIT, 1, 0, 0)]
    assert answer(query(), buckets) == {
        "success": True,
        "metric": "a",
        "operation": "sum",
        "window": "1h",
        "data": [
            {"timestamp": "2026-02-14T00:00:00Z", "value": 1500},
            {"timestamp": "2026-02-14T01:00:00Z", "value": Decimal("0.0001")},
        ],
    }


def test_an_answer_of_several_names_is_an_object_by_name() -> None:
    buckets = [Bucket(1, START, UNIT, UNIT, 0, 0), Bucket(2, START, UNIT, 2 * UNIT, 0, 0)]
    found = answer(query("b,none,a"), buckets, {"a": 1, "b": 2})
    assert found["metric"] == "b,none,a"
    assert list(found["data"].items()) == [
        ("b", [{"timestamp": "2026-02-14T00:00:00Z", "value": 2}]),
        ("none", []),
        ("a", [{"timestamp": "2026-02-14T00:00:00Z", "value": 1}]),
    ]


@pytest.mark.parametrize(
    ("operation", "text"),
    [("sum", "-0.5"), ("count", "2.5"), ("avg", "-0.2"), ("min", "-9"), ("max", "9999999999999999.9999")],
)
def test_each_operation_reads_its_number(operation: str, text: str) -> None:
    assert value(operation, Bucket(1, START, 25_000, -5_000, -90_000, MAX_UNITS), wide=True) == text


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(
    ("units", "text"),
    [
        (0, "0"),
        (1, "0.0001"),
        (-1, "-0.0001"),
        (1_000, "0.1"),
        (-9_999, "-0.9999"),
        (UNIT, "1"),
        (9_999 * UNIT, "9999"),
        (10_000 * UNIT, "10000"),
        (-10_000 * UNIT - 10, "-10000.001"),
        (100_000_000 * UNIT, "100000000"),
        (100_010_000 * UNIT + 1_200, "100010000.12"),
        (2**62 - 1, "461168601842738.7903"),
        (1 - 2**62, "-461168601842738.7903"),
    ],
)
def test_a_number_has_all_its_digits_and_none_to_spare(units: int, text: str, wide: bool) -> None:
    assert value("sum", Bucket(1, START, UNIT, units, 0, 0), wide=wide) == text


@pytest.mark.parametrize("wide", [True, False])
@pytest.mark.parametrize(
    ("total", "weight", "text"),
    [
        (1, 2 * UNIT, "0"),
        (3, 2 * UNIT, "0.0002"),
        (-1, 2 * UNIT, "0"),
        (-3, 2 * UNIT, "-0.0002"),
        (10 * UNIT, 3 * UNIT, "3.3333"),
        (20 * UNIT, 3 * UNIT, "6.6667"),
        (UNIT, 3_333, "3.0003"),
        (2**62 - 1, 1, "4611686018427387903"),
        (2**62 - 1, UNIT, "461168601842738.7903"),
        (2**62 - 1, 2**62 - 1, "1"),
        (1 - 2**62, 2**63 // (2 * UNIT) - 1, "-10000"),
        (1 - 2**62, 2**63 // (2 * UNIT), "-10000"),
    ],
)
def test_an_average_is_rounded_half_even_to_four_decimals(total: int, weight: int, text: str, wide: bool) -> None:
    assert value("avg", Bucket(1, START, weight, total, 0, 0), wide=wide) == text


def test_an_average_beyond_64_bits() -> None:
    bucket = Bucket(1, START, 3000 * UNIT, 3000 * MAX_UNITS, 0, 0)
    assert value("avg", bucket, wide=True) == "9999999999999999.9999"


@given(st.integers(-(10**26), 10**26), st.integers(1, 10**24))
def test_an_average_is_what_decimal_says(total: int, weight: int) -> None:
    with localcontext(prec=120):
        exact = (Decimal(total) / Decimal(weight)).quantize(Decimal("0.0001"), ROUND_HALF_EVEN)
    assert Decimal(value("avg", Bucket(1, START, weight, total, 0, 0), wide=True)) == exact


@pytest.mark.parametrize(("fill", "empty"), [("zero", 0), ("null", None)])
def test_empty_windows_are_filled_from_the_first_that_the_range_touches(fill: str, empty: object) -> None:
    asked = query("a,b", fill=fill, start=START + H // 2, end=START + 3 * H + 1)
    found = answer(asked, [Bucket(1, START + H, UNIT, UNIT, 0, 0)])
    assert [(point["timestamp"][11:13], point["value"]) for point in found["data"]["a"]] == [
        ("00", empty),
        ("01", 1),
        ("02", empty),
        ("03", empty),
    ]
    assert [point["value"] for point in found["data"]["b"]] == [empty] * 4


@pytest.mark.parametrize(("start", "end"), [("0001-01-01", "0001-01-03"), ("9999-12-30", "9999-12-31T23:59:59Z")])
def test_the_ends_of_the_calendar_can_be_asked(start: str, end: str) -> None:
    asked = query(window="1d", fill="zero", start=parse_time(start), end=parse_time(end))
    points = answer(asked, [])["data"]
    assert (points[0]["timestamp"][:10], len(points)) == (start, 2)


# --- CSV


def test_csv_is_a_line_a_window_ended_as_the_rfc_says() -> None:
    buckets = [Bucket(1, 0, UNIT, MAX_UNITS, 0, 0), Bucket(1, 60, UNIT, -5_000, 0, 0), Bucket(2, 60, UNIT, 0, 0, 0)]
    asked = query("a,none,-b", window="1m", format="csv")
    assert render(asked, {"a": 1, "-b": 2}, columns(buckets, wide=True)) == (
        b"name,timestamp,value\r\n"
        b"a,1970-01-01T00:00:00Z,9999999999999999.9999\r\n"
        b"a,1970-01-01T00:01:00Z,-0.5\r\n"
        b"-b,1970-01-01T00:01:00Z,0\r\n"
    )


@pytest.mark.parametrize(("fill", "empty"), [("zero", b"0"), ("null", b"")])
def test_csv_of_an_empty_window(fill: str, empty: bytes) -> None:
    assert draw(query(format="csv", fill=fill, start=0, end=1), []).split(b"\r\n") == [
        b"name,timestamp,value",
        b"a,1970-01-01T00:00:00Z,%b" % empty,
        b"",
    ]


def test_no_column_of_csv_has_the_name_of_another() -> None:
    groups = ("name", "env", "value", "timestamp", "sum", "rest", "partial")
    assert draw(query(format="csv", group_by=groups, top=3), []) == (
        b"name,tag:name,env,tag:value,tag:timestamp,sum,tag:rest,tag:partial,rest,timestamp,value\r\n"
    )
    head = draw(query(format="csv", group_by=("value", "sum"), operation="sum,max"), [])
    assert head == b"name,value,tag:sum,timestamp,sum,max\r\n"


def test_csv_of_no_data_is_the_header_alone() -> None:
    assert draw(query("a,b", format="csv"), []) == b"name,timestamp,value\r\n"


def test_a_window_that_is_not_whole_is_marked() -> None:
    buckets = [Bucket(1, START, UNIT, UNIT, 0, 0), Bucket(1, START + H, UNIT, UNIT, 0, 0)]
    notes = Notes(not_whole=np.array([START + H]))
    drawn = json.loads(render(query(), {"a": 1}, columns(buckets), notes))
    assert [point.get("partial") for point in drawn["data"]] == [None, True]
    assert render(query(format="csv"), {"a": 1}, columns(buckets), notes) == (
        b"name,timestamp,value,partial\r\na,2026-02-14T00:00:00Z,1,\r\na,2026-02-14T01:00:00Z,1,true\r\n"
    )


def test_an_unknown_name_is_named_with_the_nearest_ones() -> None:
    drawn = json.loads(render(query("shop.order"), {}, columns([]), Notes(unknown={"shop.order": ["shop.orders"]})))
    assert drawn["unknown"] == [{"name": "shop.order", "near": ["shop.orders"]}]
    assert drawn["data"] == []


# --- several operations, and what is not available

TWO = [Bucket(1, START, 2 * UNIT, 7 * UNIT, -5_000, 75_000), Bucket(1, START + H, UNIT, 1, 1, 1)]


def test_several_operations_are_a_field_each_in_the_order_asked() -> None:
    found = answer(query(operation="max,count,avg"), TWO)
    assert found["operation"] == "max,count,avg"
    assert [list(point.items()) for point in found["data"]] == [
        [("timestamp", "2026-02-14T00:00:00Z"), ("max", Decimal("7.5")), ("count", 2), ("avg", Decimal("3.5"))],
        [("timestamp", "2026-02-14T01:00:00Z"), ("max", Decimal("0.0001")), ("count", 1), ("avg", Decimal("0.0001"))],
    ]


def test_several_operations_are_a_column_each_in_csv() -> None:
    assert draw(query(operation="max,min", format="csv"), TWO).decode().splitlines() == [
        "name,timestamp,max,min",
        "a,2026-02-14T00:00:00Z,7.5,-0.5",
        "a,2026-02-14T01:00:00Z,0.0001,0.0001",
    ]


@pytest.mark.parametrize(("fill", "json_empty", "csv_empty"), [("zero", "0", "0"), ("null", "null", "")])
def test_an_empty_window_is_filled_in_every_column(fill: str, json_empty: str, csv_empty: str) -> None:
    asked = query(operation="max,min", fill=fill, end=START + H)
    point = f'[{{"timestamp":"2026-02-14T00:00:00Z","max":{json_empty},"min":{json_empty}}}]'
    assert point in draw(asked, []).decode()
    assert f"a,2026-02-14T00:00:00Z,{csv_empty},{csv_empty}\r\n" in draw(asked._replace(format="csv"), []).decode()


def with_unknown(asked: Query, notes: Notes) -> str:
    """Two windows, with a median in the second alone."""
    values = Values(np.array([0, 25_000]), known=np.array([False, True]))
    made = [values, Values(np.array([20_000, 10_000]))][: len(asked.columns)]
    return render_columns(asked, [AnswerLine("a", 1)], columns(TWO), made, notes).decode()


@pytest.mark.parametrize(
    ("operation", "cut", "points"),
    [
        ("median", [], ['"unavailable":true,"value":null', '"value":2.5']),
        ("median,count", [], ['"unavailable":true,"median":null,"count":2', '"median":2.5,"count":1']),
        ("median", [START], ['"partial":true,"unavailable":true,"value":null', '"value":2.5']),
    ],
)
def test_a_value_that_is_not_available_is_null_and_marked(operation: str, cut: list[int], points: list[str]) -> None:
    text = with_unknown(query(operation=operation), Notes(not_whole=np.array(cut, dtype=np.int64)))
    times = ("2026-02-14T00:00:00Z", "2026-02-14T01:00:00Z")
    wanted = ",".join(f'{{"timestamp":"{time}",{point}}}' for time, point in zip(times, points, strict=True))
    assert text.endswith(f'"data":[{wanted}]}}')


@pytest.mark.parametrize(
    ("operation", "cut", "lines"),
    [
        ("median", [], [",value,unavailable", ",,true", ",2.5,"]),
        ("median,count", [], [",median,count,unavailable", ",,2,true", ",2.5,1,"]),
        ("median", [START], [",value,partial,unavailable", ",,true,true", ",2.5,,"]),
    ],
)
def test_csv_of_a_value_that_is_not_available(operation: str, cut: list[int], lines: list[str]) -> None:
    text = with_unknown(query(operation=operation, format="csv"), Notes(not_whole=np.array(cut, dtype=np.int64)))
    begins = ("name,timestamp", "a,2026-02-14T00:00:00Z", "a,2026-02-14T01:00:00Z")
    assert text.splitlines() == [begin + line for begin, line in zip(begins, lines, strict=True)]


@pytest.mark.parametrize(
    ("millionths", "text"),
    [(0, "0"), (1_000_000, "1"), (1, "0.000001"), (10, "0.00001"), (100, "0.0001"), (123_400, "0.1234"),
     (120_034, "0.120034"), (999_990, "0.99999"), (500_000, "0.5")],
)  # fmt: skip
def test_a_share_has_up_to_six_digits_behind_its_point(millionths: int, text: str) -> None:
    asked = query(operation="fraction_below")
    shares = [Values(np.array([millionths]), decimals=6)]
    drawn = render_columns(asked, [AnswerLine("a", 1)], columns(TWO[:1]), shares).decode()
    assert drawn.split('"value":')[1].split("}")[0] == text


# --- against plain Python, a window at a time


def plainly(asked: Query, ids: Ids, buckets: Sequence[Bucket], *, partial: bool) -> bytes:
    """The answer as its rules are written down."""
    labels = asked.columns if len(asked.columns) > 1 else ("value",)

    def numbers(bucket: Bucket) -> list[str]:
        known = {
            "sum": bucket.total,
            "count": bucket.weight,
            "avg": divide_half_even(bucket.total * UNIT, bucket.weight),
            "min": bucket.low,
            "max": bucket.high,
            "rate": divide_half_even(bucket.weight, asked.seconds),
        }
        return [units_to_text(known[operation]) for operation in asked.columns]

    def fields(texts: list[str]) -> str:
        return ",".join(f'"{label}":{text}' for label, text in zip(labels, texts, strict=True))

    series = {}
    for name in asked.names:
        texts = {one.start: numbers(one) for one in buckets if one.metric_id == ids.get(name)}
        if asked.fill is not None:
            first = asked.start // asked.seconds * asked.seconds
            empty = {"zero": "0", "null": "null"}[asked.fill]
            texts = {start: texts.get(start, [empty] * len(labels)) for start in range(first, asked.end, asked.seconds)}
        series[name] = texts
    if asked.csv:
        lines = [["name", "timestamp", *labels]]
        lines += [
            [name, format_time(start), *("" if number == "null" else number for number in text)]
            for name, texts in series.items()
            for start, text in texts.items()
        ]
        file = io.StringIO(newline="")
        csv.writer(file).writerows(lines)
        return file.getvalue().encode()
    if asked.format == "jsonl":
        return "".join(
            f'{{"name":"{name}","timestamp":"{format_time(at)}",{fields(text)}}}\n'
            for name, texts in series.items()
            for at, text in texts.items()
        ).encode()
    data = {
        name: "[" + ",".join(f'{{"timestamp":"{format_time(at)}",{fields(text)}}}' for at, text in texts.items()) + "]"
        for name, texts in series.items()
    }
    several = "{" + ",".join(f'"{name}":{text}' for name, text in data.items()) + "}"
    complete = ',"complete":false' if partial else ""
    return (
        f'{{"success":true,"metric":"{",".join(asked.names)}","operation":"{",".join(asked.columns)}",'
        f'"window":"{asked.window}"{complete},"data":{several if len(data) > 1 else data[asked.names[0]]}}}'
    ).encode()


NAMES = st.lists(st.from_regex(r"\A[A-Za-z0-9._-]{1,20}\Z"), min_size=1, max_size=4, unique=True)


def numbers(bits: int) -> st.SearchStrategy[int]:
    """Numbers of any length up to so many bits, also negative ones."""
    return st.integers(0, bits).flatmap(lambda most: st.integers(-(2**most) + 1, 2**most - 1))


@st.composite
def asked_and_found(draw: st.DrawFn) -> tuple[Query, dict[str, int], list[Bucket], bool]:
    """A query, ids of some of its names, buckets of its windows in order, whether they are wide."""
    names, wide = draw(NAMES), draw(st.booleans())
    ids = {name: draw(st.integers(1, 2**31)) for name in names if draw(st.booleans())}
    ids = {name: number for name, number in ids.items() if list(ids.values()).count(number) == 1}
    window = draw(st.sampled_from(sorted(WINDOWS)))
    start = draw(st.integers(-62_135_596_800, 250_000_000_000))
    end = start + draw(st.integers(1, 40 * WINDOWS[window]))
    touched = range(start // WINDOWS[window] * WINDOWS[window], end, WINDOWS[window])
    sizes, counts = numbers(100 if wide else 62), st.integers(1, 2 ** draw(st.integers(0, 90 if wide else 62)) - 1 or 1)
    keys = [(number, at) for number in sorted(ids.values()) for at in touched if draw(st.booleans())]
    buckets = [Bucket(*key, draw(counts), *(draw(sizes) for _ in range(3))) for key in keys]
    operations = draw(st.lists(st.sampled_from(SUMMARIES), min_size=1, max_size=4, unique=True))
    asked = Query(tuple(names), tuple(operations), window, start, end, None)
    return (
        asked._replace(fill=draw(st.sampled_from([None, "zero", "null"])), format=draw(st.sampled_from(FORMATS))),
        ids,
        buckets,
        wide,
    )


@settings(max_examples=examples(300))
@given(asked_and_found(), st.booleans())
def test_every_byte_is_what_plain_python_writes(
    given: tuple[Query, dict[str, int], list[Bucket], bool], partial: bool
) -> None:
    asked, ids, buckets, wide = given
    drawn = render(asked, ids, columns(buckets, wide=wide), Notes(partial=partial))
    assert drawn == plainly(asked, ids, buckets, partial=partial)
