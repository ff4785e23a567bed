"""Draws panels of deploy/grafana's dashboard in the way of Grafana, for docs/gallery.md. No Grafana runs.

The numbers are the service's own answers to the panels' targets. The look is made here: uPlot, which Grafana draws with
too, on a page with a panel for each place of the dashboard's grid.
"""

import base64
import json
import re
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from playwright.async_api import Browser

from loadtest.servers import Server

_ROOT: Final = Path(__file__).parents[1]
_DASHBOARD: Final = _ROOT / "deploy" / "grafana" / "dashboards" / "graphite.json"
_UPLOT: Final = _ROOT / "central" / "page" / "uplot"
_CHOSEN: Final = {"metric": "shop.checkout_ms", "operation": "p95", "tag": "endpoint", "together": "max"}
"""Values of the dashboard's variables, as you would choose them at its top."""
_DAYS: Final = 7
_WIDTH: Final = 1_180
_LOOK: Final = Path(__file__).with_suffix(".css")
_DRAW: Final = Path(__file__).with_suffix(".js")


async def take_panels(browser: Browser, server: Server, now: int, path: Path) -> None:
    """Take a picture of the panels that show lines."""
    dashboard = json.loads(_DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] == "timeseries"]
    page = await browser.new_page(viewport={"width": _WIDTH, "height": 900})
    await page.set_content(_page(dashboard, panels, [_asked(server, panel, now) for panel in panels]))
    await page.locator(".plot canvas").last.wait_for()
    await page.locator("body").screenshot(path=path)
    await page.close()


def _filled(text: str) -> str:
    return re.sub(r"\$\{?(\w+)(?::\w+)?\}?", lambda found: _CHOSEN.get(found[1], found[0]), text)


def _asked(server: Server, panel: Mapping[str, Any], now: int) -> list[dict[str, Any]]:
    """Ask the service for a panel's lines, as Grafana's server does."""
    width = panel["gridPos"]["w"] * _WIDTH // 24
    form = {"from": now - _DAYS * 86_400, "until": now, "format": "json", "maxDataPoints": width}
    password = base64.b64encode(f"grafana:{server.key}".encode()).decode()
    headers = {"Authorization": f"Basic {password}", "Content-Type": "application/x-www-form-urlencoded"}
    made: list[dict[str, Any]] = []
    for target in panel["targets"]:
        connection = HTTPConnection(server.url.removeprefix("http://"))
        body = urlencode({**form, "target": _filled(target["target"])})
        connection.request("POST", "/graphite/render", body, headers)
        made += json.loads(connection.getresponse().read())
        connection.close()
    return made


def _page(dashboard: Mapping[str, Any], panels: list[dict[str, Any]], lines: list[list[dict[str, Any]]]) -> str:
    """A page of HTML that draws the panels."""
    labels = {one["name"]: one["label"] for one in dashboard["templating"]["list"]}
    chosen = "".join(f"<span><i>{labels[name]}</i>{value}</span>" for name, value in _CHOSEN.items())
    places, drawn = [], []
    for at, (panel, found) in enumerate(zip(panels, lines, strict=True)):
        place = panel["gridPos"]
        height = 38 * place["h"] - 8
        title = _filled(panel["title"])
        places.append(
            f'<div class="panel" id="panel-{at}" style="grid-column: {place["x"] + 1} / span {place["w"]}; height:'
            f' {height - 18}px"><h2>{title}</h2><div class="plot"></div><table><thead><tr><th>Name</th><th>Max</th>'
            "<th>Last *</th></tr></thead><tbody></tbody></table></div>"
        )
        drawn.append({"height": height - 18, "lines": found})
    style = (_UPLOT / "uPlot.min.css").read_text() + _LOOK.read_text()
    script = (_UPLOT / "uPlot.esm.js").read_text() + f"\nconst PANELS = {json.dumps(drawn)};\n" + _DRAW.read_text()
    return (
        f"<!doctype html><style>{style}</style>"
        f"<div class='bar'><b>{dashboard['title']}</b>{chosen}<span>Last {_DAYS} days</span></div>"
        f"<div class='grid'>{''.join(places)}</div><script type='module'>{script}</script>"
    )
