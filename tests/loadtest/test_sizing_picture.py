"""loadtest/sizing_picture.py: the picture of docs/sizing.md shows the figures of its table."""

from pathlib import Path

from loadtest.sizing_picture import PAGE, PICTURE, Cost, costs, picture

ROOT = Path(__file__).parents[2]


def test_rows_with_and_without_a_database_are_read() -> None:
    table = "| embedded | yes | 14.7 | | 57 | 149 |\n| MariaDB | no | 6.8 | 10.8 | 167 | 122 |\n"
    assert list(costs(table)) == [
        Cost("embedded", True, 14.7, 0.0, 57, 149),
        Cost("MariaDB", False, 6.8, 10.8, 167, 122),
    ]


def test_the_picture_is_that_of_the_table() -> None:
    rows = list(costs((ROOT / PAGE).read_text()))
    assert len(rows) == 4
    assert (ROOT / PICTURE).read_text() == picture(rows), "run: python -m loadtest.sizing_picture"
