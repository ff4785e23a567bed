"""Line charts as SVG, in light and dark, without any library."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

Points = Sequence[tuple[float, float]]
"""Seconds since the start, and a value."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 260, 64, 170, 34, 30
COLOURS: Final = ("#2f6fde", "#d1602c", "#2a9461", "#9255c9", "#b8891b")
_STEPS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14_400, 28_800, 86_400)
STYLE: Final = """
:root { color-scheme: light dark; --ink: #222; --faint: #ccc; --paper: #fff; --good: #1a7f43; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e6e6; --faint: #444; --paper: #16181c; --good: #5fd08a; --bad: #ff7a70; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; padding: .3rem .6rem;
  border-bottom: 1px solid var(--faint); } :is(th, td):nth-child(2), :is(th, td):nth-child(3) { text-align: right; }
.charts { overflow-x: auto; } .charts svg { min-width: 40rem; } @media (max-width: 30rem) { th, td { padding: .3rem; } }
.pass { color: var(--good); } .fail { color: var(--bad); font-weight: bold; }
svg { width: 100%; height: auto; margin-top: 1.2rem; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .title { font-weight: 600; font-size: 14px; } svg .grid { stroke: var(--faint); } svg polyline { fill: none;
  stroke-width: 1.6; }
"""


def chart(title: str, series: Mapping[str, Points]) -> str:
    """A chart of all series from 0 up, time to the right; the legend has each one's last value."""
    known = {name: points for name, points in series.items() if points}
    most_x = max((x for points in known.values() for x, _ in points), default=1.0) or 1.0
    most_y = _round_up(max((y for points in known.values() for _, y in points), default=1.0))
    elements = [f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>']
    for step in range(5):
        y = _y(most_y * step / 4, most_y)
        elements.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        elements.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{most_y * step / 4:g}</text>')
    for seconds, label in time_marks(most_x):
        x = _x(seconds, most_x)
        elements.append(f'<text x="{x:.1f}" y="{HEIGHT - 10}" text-anchor="middle">{label}</text>')
    for number, (name, points) in enumerate(known.items()):
        colour = COLOURS[number % len(COLOURS)]
        line = " ".join(f"{_x(x, most_x):.1f},{_y(y, most_y):.1f}" for x, y in points)
        elements.append(f'<polyline points="{line}" stroke="{colour}"/>')
        at = TOP + 14 + 20 * number
        elements.append(f'<rect x="{WIDTH - RIGHT + 14}" y="{at - 9}" width="10" height="10" fill="{colour}"/>')
        elements.append(f'<text x="{WIDTH - RIGHT + 30}" y="{at}">{escape(name)}: {points[-1][1]:.4g}</text>')
    body = "\n".join(elements)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">\n{body}\n</svg>'


def time_marks(most: float) -> list[tuple[int, str]]:
    """Round times from 0 to ``most`` seconds, seven at the most, each with its label."""
    step = next((step for step in _STEPS if most / step <= 6), _STEPS[-1])
    unit, name = (3600, "h") if step % 3600 == 0 else (60, "min") if step % 60 == 0 else (1, "s")
    return [(seconds, f"{seconds // unit} {name}") for seconds in range(0, int(most) + 1, step)]


def page(title: str, lines: Sequence[tuple[str, str, str, bool | None]], charts: Sequence[str], below: str) -> str:
    """An HTML page of a table of goals and the charts, with nothing from outside. ``below`` is HTML."""
    marks = {None: "", True: '<span class="pass">pass</span>', False: '<span class="fail">FAIL</span>'}
    rows = "\n".join(
        f"<tr><td>{escape(what)}</td><td>{escape(goal)}</td><td>{escape(measured)}</td><td>{marks[holds]}</td></tr>"
        for what, goal, measured, holds in lines
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<table><tr><th>What</th><th>Goal</th><th>Measured</th><th></th></tr>
{rows}
</table>
<div class="charts" tabindex="0" role="group" aria-label="Charts">{"".join(charts)}</div>
{below}
</body></html>
"""


def _x(value: float, most: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * value / most


def _y(value: float, most: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most


def _round_up(value: float) -> float:
    """The next of 1, 2, 4, 5, 8 times a power of ten."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value > 0:
        power /= 10
    return next((power * step for step in (1, 2, 4, 5, 8) if power * step >= value), power * 10)
