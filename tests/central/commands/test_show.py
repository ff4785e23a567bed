"""central/commands/show.py: what people and other programs see of an answer."""

import io
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from central.commands.show import PLOT_HEIGHT, Style, draw, legend, number, series_of, show_answer, show_table


def console(*, terminal: bool, width: int = 80, colour: bool = True) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, no_color=not colour, _environ={})


def printed(answer: dict[str, Any], where: Console) -> str:
    show_answer(answer, where)
    assert isinstance(where.file, io.StringIO)
    return where.file.getvalue()


def point(minute: int, value: object) -> dict[str, Any]:
    return {"timestamp": f"2026-02-15T00:{minute:02d}:00Z", "value": value}


def answer(data: object, metric: str = "a") -> dict[str, Any]:
    return {"success": True, "metric": metric, "operation": "sum", "window": "1m", "data": data}


SEVERAL = answer({"a": [point(0, 1), point(2, Decimal("9999999999999999.9999"))], "b": [point(1, None)]}, "a,b")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1500, "1500"),
        (0, "0"),
        (Decimal("9999999999999999.9999"), "9999999999999999.9999"),
        (Decimal("-0.0001"), "-0.0001"),
        (Decimal("1E+3"), "1000"),
        (None, "-"),
    ],
)
def test_numbers_keep_all_digits(value: int | Decimal | None, text: str) -> None:
    assert number(value) == text


def test_other_programs_get_lines_with_tabs() -> None:
    assert printed(SEVERAL, console(terminal=False)) == (
        "timestamp\ta\tb\n"
        "2026-02-15T00:00:00Z\t1\t-\n"
        "2026-02-15T00:01:00Z\t-\t-\n"
        "2026-02-15T00:02:00Z\t9999999999999999.9999\t-\n"
    )


@pytest.mark.parametrize(
    ("metric", "data", "text"),
    [
        (
            "a",
            [{**point(0, 0), "p50": 2, "p99": 30}, {**point(1, 0), "p50": None, "p99": None, "unavailable": True}],
            "timestamp\tp50\tp99\n2026-02-15T00:00:00Z\t2\t30\n2026-02-15T00:01:00Z\tunavailable\tunavailable\n",
        ),
        (
            "a,b",
            {"a": [{**point(0, 0), "p50": 2, "p99": 30}], "b": [{**point(0, 0), "p50": None, "p99": None}]},
            "timestamp\ta p50\ta p99\tb p50\tb p99\n2026-02-15T00:00:00Z\t2\t30\t-\t-\n",
        ),
    ],
)
def test_several_operations_are_a_column_each(metric: str, data: object, text: str) -> None:
    asked = {**answer(data, metric), "operation": "p50,p99"}
    assert printed(asked, console(terminal=False)) == text
    shown = printed(asked, console(terminal=True, width=100, colour=False))
    assert "p50,p99 by 1m (UTC)" in shown
    assert ("unavailable" in shown) == ("unavailable" in text)


def group(tags: dict[str, str | None], *points: dict[str, Any], metric: str = "a", **rest: bool) -> dict[str, Any]:
    return {"metric": metric, "tags": tags, **rest, "points": list(points)}


@pytest.mark.parametrize(
    ("groups", "labels"),
    [
        ([group({"env": "prod", "host": "b"}), group({"env": None, "host": ""})], ["env:prod,host:b", "no env,host:"]),
        ([group({"env": "rest"}), group({}, rest=True)], ["env:rest", "rest"]),
        ([group({})], ["a"]),
        ([group({}), group({}, metric="b")], ["a", "b"]),
        ([group({"env": "x"}), group({"env": "x"}, metric="b"), group({}, metric="b", rest=True)],
         ["a env:x", "b env:x", "b rest"]),
        ([group({"env": "x\u202ey[red]"})], [r"env:x\u202ey[red]"]),
        ([], ["a"]),
    ],
)  # fmt: skip
def test_each_group_has_a_column_that_says_its_tags(groups: list[Any], labels: list[str]) -> None:
    assert list(series_of(answer(groups))) == labels
    for one in groups:
        one["points"].append(point(0, 7))
    table = printed(answer(groups), console(terminal=False))
    assert table.splitlines() == [
        "\t".join(["timestamp", *labels]),
        *["2026-02-15T00:00:00Z" + "\t7" * len(groups)] * bool(groups),
    ]
    shown = printed(answer(groups), console(terminal=True, width=200, colour=False))
    alone = len({label.removeprefix("env:") for label in labels}) == len(labels) and "," not in labels[0]
    assert all(label.removeprefix("env:" if alone else "") in shown for label in labels) or not groups


def test_groups_of_one_key_are_columns_without_the_key() -> None:
    shown = printed(
        answer([group({"env": "x"}, point(0, 7)), group({"env": "y"}, point(0, 8))]), console(terminal=True)
    )
    assert "sum by 1m (UTC), per env" in shown
    assert "env:" not in shown


def test_a_table_that_is_too_wide_has_a_row_per_number() -> None:
    groups = [group({"env": f"production-{number}", "host": "web"}, point(0, number)) for number in range(9)]
    shown = printed(answer(groups), console(terminal=True, colour=False))
    rows = [[cell.strip() for cell in line.split("│")[1:5]] for line in shown.splitlines() if "production" in line]
    assert rows[3] == ["2026-02-15 00:00", "production-3", "web", "3"]


@pytest.mark.parametrize(
    ("count", "coloured", "letters"), [(1, True, False), (6, True, False), (7, True, True), (2, False, True)]
)
def test_the_legend_tells_lines_apart_by_colour_or_else_by_letter(count: int, coloured: bool, letters: bool) -> None:
    shown = legend([f"name-{number}" for number in range(count)], 99, coloured=coloured)
    assert ("a name-0" in shown.plain) == letters
    assert f"name-{count - 1}" in shown.plain


def test_no_label_of_a_legend_is_broken() -> None:
    labels = [f"{'x' * number} p{number}" for number in range(9, 20)]
    lines = legend(labels, 40, coloured=False).plain.split("\n")
    assert max(map(len, lines)) <= 40
    assert [entry[2:] for line in lines for entry in line.split("   ")] == labels


def test_several_operations_of_groups_are_a_column_each() -> None:
    point_of_two = {"timestamp": "2026-02-15T00:00:00Z", "p50": 2, "p99": 30}
    asked = answer([group({"env": "x"}, point_of_two), group({}, point_of_two, rest=True)]) | {"operation": "p50,p99"}
    assert list(series_of(asked)) == ["env:x p50", "env:x p99", "rest p50", "rest p99"]


def test_one_group_of_several_operations_keeps_its_tags() -> None:
    point_of_two = {"timestamp": "2026-02-15T00:00:00Z", "p50": 2, "p99": 30}
    asked = answer([group({"env": "x"}, point_of_two)]) | {"operation": "p50,p99"}
    assert list(series_of(asked)) == ["env:x p50", "env:x p99"]


@pytest.mark.parametrize("terminal", [True, False])
def test_no_cell_drives_a_terminal_or_looks_like_another_column(terminal: bool) -> None:
    where = console(terminal=terminal, colour=False)
    show_table(["name"], [["a\x1b[2Jb"], ["c\td"], ["e\u202ef"], ["g\nh"]], where)
    assert isinstance(where.file, io.StringIO)
    text = where.file.getvalue()
    for shown in (r"a\x1b[2Jb", r"c\td", r"e\u202ef", r"g\nh"):
        assert shown in text


def test_no_data_is_said_to_people_and_is_an_empty_table_for_programs() -> None:
    assert printed(answer([]), console(terminal=True, colour=False)) == "No data in this time range.\n"
    assert printed(answer([]), console(terminal=False)) == "timestamp\ta\n"
    assert printed(answer({"a": [], "b": []}, "a,b"), console(terminal=False)) == "timestamp\ta\tb\n"


def test_a_terminal_gets_a_table_and_a_plot() -> None:
    shown = printed(SEVERAL, console(terminal=True, width=90))
    assert "9999999999999999.9999" in shown
    assert "sum by 1m (UTC)" in shown
    assert "\x1b[" in shown
    assert "00:00" in shown
    assert "00:02" in shown


def test_without_colour_there_are_no_colour_codes() -> None:
    plot = draw(series_of(SEVERAL), "title", Style(width=60, colour=False))
    assert "\x1b" not in plot
    assert len(plot.splitlines()) == PLOT_HEIGHT
    assert {len(line) for line in plot.splitlines()} == {60}


def test_a_narrow_terminal_folds_digits_and_cuts_none() -> None:
    where = console(terminal=True, width=30, colour=False)
    show_table(["timestamp", "a"], [["2026-02-15T00:00:00Z", "9999999999999999.9999"]], where, right_from=1)
    assert isinstance(where.file, io.StringIO)
    digits = "".join(line.split("│")[2].strip() for line in where.file.getvalue().splitlines() if "│" in line)
    assert digits == "9999999999999999.9999"


def test_a_name_in_brackets_is_text_and_no_markup() -> None:
    where = console(terminal=True)
    show_table(["name"], [["[red]x[/red]"]], where)
    assert isinstance(where.file, io.StringIO)
    assert "[red]x[/red]" in where.file.getvalue()


@pytest.mark.parametrize(
    ("data", "labels"),
    [
        ([point(0, 5)], ["00:00"]),
        ([point(minute, minute) for minute in range(60)], ["00:00", "00:15", "00:30", "00:45"]),
        (
            [point(0, 1), {"timestamp": "2026-02-16T12:00:00Z", "value": 2}],
            ["02-15 00:00", "02-16 12:00"],
        ),
        (
            [{"timestamp": f"2026-02-15T0{hour}:00:00Z", "value": hour} for hour in range(2, 8)],
            ["02:00", "04:00", "06:00"],
        ),
        (
            [{"timestamp": f"2026-02-{day}T00:00:00Z", "value": day} for day in range(15, 18)],
            ["02-15 00:00", "02-16 00:00", "02-17 00:00"],
        ),
    ],
)
def test_the_time_axis_has_few_labels_with_the_day_where_it_matters(data: list[Any], labels: list[str]) -> None:
    axis = draw(series_of(answer(data)), "title", Style(width=90, colour=False)).splitlines()[-1]
    assert [label for label in labels if label in axis] == labels


@pytest.mark.parametrize(
    ("values", "columns", "marks"),
    [
        ([3], True, ["0", "1", "2", "3"]),
        ([0], True, ["0", "0.5"]),
        ([4329, 14673], True, ["0", "5,000", "10,000", "15,000"]),
        ([-5, 3], True, ["-6", "-4", "-2", "0", "2", "4"]),
        ([320, 411], False, ["300", "350", "400", "450"]),
        ([7], False, ["6", "8"]),
        ([Decimal("9999999999999999.9999")], True, ["0", "5e+15", "1e+16"]),
    ],
)
def test_the_axis_of_values_has_round_marks_and_columns_stand_on_zero(
    values: list[Any], columns: bool, marks: list[str]
) -> None:
    series = series_of(answer([point(minute, value) for minute, value in enumerate(values)]))
    plot = draw(series, "title", Style(width=60, colour=False, columns=columns))
    shown = [line.split("┤")[0].strip() for line in plot.splitlines() if "┤" in line]
    assert [mark for mark in marks if mark in shown] == marks


def test_a_plot_of_gaps_alone_is_empty() -> None:
    assert "title" in draw(series_of(answer([point(0, None)])), "title", Style(width=60, colour=False))


def cut(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "partial": True}


PARTS = answer([cut(point(0, 5)), *(point(minute, 9) for minute in range(1, 9)), cut(point(9, 3))])


def test_a_plot_marks_windows_that_are_cut_or_open() -> None:
    *_, axis = [line for line in printed(PARTS, console(terminal=True, colour=False)).splitlines() if "00:0" in line]
    assert axis.split() == ["00:00*", "00:02", "00:04", "00:06", "00:09*"]
    assert "sum by 1m (UTC), * = cut or open" in printed(PARTS, console(terminal=True, colour=False))
    whole = answer([point(minute, 9) for minute in range(10)])
    assert "*" not in printed(whole, console(terminal=True, colour=False))


def test_a_narrow_plot_has_fewer_times() -> None:
    """So the mark of a window that is still open stays."""
    days = [{"timestamp": f"2026-02-{day}T00:00:00Z", "value": day, "partial": day == 18} for day in range(15, 19)]
    axis = draw(series_of(answer(days)), "title", Style(width=44, colour=False)).splitlines()[-1]
    assert axis.split() == ["02-16", "00:00", "02-18", "00:00*"]


DAYS = {
    **answer(
        [
            {"timestamp": "2026-03-27T23:00:00Z", "value": 24},
            {"timestamp": "2026-03-28T23:00:00Z", "value": 23},
            {"timestamp": "2026-03-29T22:00:00Z", "value": 5, "partial": True},
        ]
    ),
    "window": "1d",
    "tz": "Europe/Berlin",
}


def test_times_are_those_of_the_zone_that_was_asked_for() -> None:
    assert printed(DAYS, console(terminal=False)) == (
        "timestamp\ta\tpartial\n"
        "2026-03-28T00:00:00+01:00\t24\t\n"
        "2026-03-29T00:00:00+01:00\t23\t\n"
        "2026-03-30T00:00:00+02:00\t5\ttrue\n"
    )
    *_, axis = [line for line in printed(DAYS, console(terminal=True, colour=False)).splitlines() if "03-28" in line]
    assert axis.split() == ["03-28", "00:00", "03-29", "00:00", "03-30", "00:00*"]
