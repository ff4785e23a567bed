"""Draws the picture of docs/sizing.md from the page's own table: ``python -m loadtest.sizing_picture``.

Change the table, run this, and commit both. A test compares them.
"""

import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final, NamedTuple

PAGE: Final = Path("docs/sizing.md")
PICTURE: Final = Path("docs/img/sizing.svg")
_ROW: Final = re.compile(
    r"^\| (embedded|MariaDB) \| (yes|no) \| (\d+\.\d) \|(?: (\d+\.\d) )?\s*\| (\d+) \| (\d+) \|$", re.MULTILINE
)
LEFT, WIDTH, BAR, GAP, TOP = 190, 860, 30, 20, 64
SERVICE, DATABASE = "#2f6fde", "#d1602c"


class Cost(NamedTuple):
    """What one point costs: processor time in microseconds, bytes on disk, bytes sent to the service."""

    store: str
    host_in_a_tag: bool
    service: float
    database: float
    disk: int
    network: int


def costs(page: str) -> Iterator[Cost]:
    """The rows of the page's table "What a point costs"."""
    for store, tagged, service, database, disk, network in _ROW.findall(page):
        yield Cost(store, tagged == "yes", float(service), float(database or 0), int(disk), int(network))


def picture(rows: list[Cost]) -> str:
    """One bar per row as SVG, service and database in two colours. It is legible on a light and on a dark page."""
    most = max(row.service + row.database for row in rows)
    scale = (WIDTH - LEFT - 210) / most
    height = TOP + len(rows) * (BAR + GAP)
    drawn = "".join(_bar(row, TOP + number * (BAR + GAP), scale) for number, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        ' aria-label="What a point costs, by store">'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
        '<g font-family="system-ui, sans-serif" font-size="14" fill="#222">'
        '<text x="16" y="26" font-size="16" font-weight="600">What a point costs</text>'
        f"{_legend('service', SERVICE, 220)}{_legend('database', DATABASE, 320)}"
        '<text x="430" y="26">microseconds of a processor; bytes on disk</text>'
        f"{drawn}</g></svg>\n"
    )


def _legend(text: str, colour: str, x: int) -> str:
    return f'<rect x="{x}" y="14" width="14" height="14" fill="{colour}"/><text x="{x + 20}" y="26">{text}</text>'


def _bar(row: Cost, y: int, scale: float) -> str:
    label = f"{row.store}, {'host in a tag' if row.host_in_a_tag else 'no tag'}"
    service, database = row.service * scale, row.database * scale
    parts = f"{row.service:g}" + (f" + {row.database:g}" if row.database else "")
    text = f"{parts} us; {row.disk} bytes"
    baseline = y + BAR * 2 // 3
    return (
        f'<text x="{LEFT - 12}" y="{baseline}" text-anchor="end">{escape(label)}</text>'
        f'<rect x="{LEFT}" y="{y}" width="{service:.1f}" height="{BAR}" fill="{SERVICE}"/>'
        f'<rect x="{LEFT + service:.1f}" y="{y}" width="{database:.1f}" height="{BAR}" fill="{DATABASE}"/>'
        f'<text x="{LEFT + service + database + 10:.1f}" y="{baseline}">{text}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(list(costs(PAGE.read_text()))))
