"""``make gallery``: makes the pictures of docs/gallery.md, and those of docs/page.md, from the data of ``make demo``.

It starts a service and an agent of its own on free ports, fills the service with the made-up week and the agent with
some traffic, and takes pictures of the page in a real browser and of the command line in a terminal. It takes two
minutes, because the picture of the service's own rates shows the last one.
"""

import asyncio
import io
import itertools
import json
import math
import os
import pty
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Final, NamedTuple

from playwright.async_api import Browser, async_playwright
from rich.console import Console
from rich.text import Text

from central.client import Client, Target
from loadtest.servers import Server, agent, central
from quickstart.demo import batches, fill
from scripts.grafana_panels import take_panels

PICTURES: Final = Path(__file__).parents[1] / "docs" / "img" / "gallery"
PROGRAM: Final = Path(sys.executable).parent / "fiesta-central"
COLUMNS: Final = 100


class View(NamedTuple):
    """A picture of the page: its file, its address behind the ``#``, and the window."""

    file: str
    address: str
    scheme: str = "light"
    width: int = 1_180
    height: int = 1_000
    seconds: float = 1.5
    """How many seconds after the page has loaded the picture is taken."""


VIEWS: Final = (
    View("../page", "metrics?name=shop.orders&operation=sum&group_by=country&last=7d&window=1h", height=940),
    View("names", "names", height=620),
    View("percentiles", "metrics?name=shop.checkout_ms&operation=p95&group_by=endpoint&last=7d&window=1h"),
    View("two-scales", "metrics?name=shop.orders,shop.revenue_eur&operation=sum&last=7d&window=1h", "dark"),
    View("errors", "metrics?name=shop.requests&operation=sum&group_by=host&tags=status:500&last=7d&window=1h"),
    View("phone", "metrics?name=shop.orders&operation=sum&last=7d&window=1h", "dark", 390, 1_300),
    View("admin", "admin", height=770),
    View("../page-service", "service", height=930, seconds=75),
)
COMMANDS: Final = {
    "terminal-day": "query shop.orders --window 1d --start -7d",
    "terminal-groups": "query shop.checkout_ms --operation p95 --group-by endpoint --window 1d --start -7d",
}


def printed(command: str, server: Server, folder: Path) -> str:
    """What the command prints in a terminal, with its colours."""
    program, side = pty.openpty()
    environ = {
        **os.environ, "METRICS_DATA_DIR": str(folder), "METRICS_LISTEN": server.url.removeprefix("http://"),
        "COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color",
    }  # fmt: skip
    with subprocess.Popen([PROGRAM, *command.split()], stdout=side, stderr=side, env=environ):
        os.close(side)
        text = b""
        while chunk := _read(program):
            text += chunk
    os.close(program)
    return text.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65_536)
    except OSError:  # the other side was closed
        return b""


@contextmanager
def busy(server: Server, folder: Path) -> Iterator[None]:
    """Make some traffic: timings and counters of a shop, a dashboard that asks, and a client with faults."""
    over = threading.Event()
    items = json.dumps({"metrics": [{"name": "live.requests", "type": "counter", "value": 1}, {"name": "-"}]})

    def work(udp: int) -> None:
        began = time.time()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for turn in itertools.count():
                if over.wait(0.1):
                    break
                wave = 1 + math.sin((time.time() - began) / 9)
                for number in range(int(3 + 9 * wave)):
                    line = f"live.checkout_ms:{40 + 37 * turn % 60 + number}|ms|#host:web-{number % 4}"
                    sender.sendto(f"{line}\nlive.orders:1|c".encode(), ("127.0.0.1", udp))
                if turn % 3 == 0:
                    _ask(server, "/api/metrics/aggregate?name=shop.orders&operation=sum&window=1h&start=-1d&end=now")
                if turn % 5 == 0:
                    _ask(server, "/api/metrics/batch", items)

    with agent(folder / "spool", server.url, server.key, {"FIESTA_AGENT_FLUSH_INTERVAL": "1"}) as (_, udp):
        worker = threading.Thread(target=work, args=(udp,))
        worker.start()
        try:
            yield
        finally:
            over.set()
            worker.join()


def _ask(server: Server, path: str, body: str | None = None) -> None:
    """Send a request and ignore the answer."""
    connection = HTTPConnection(server.url.removeprefix("http://"))
    connection.request("GET" if body is None else "POST", path, body, {"X-API-Key": server.key})
    connection.getresponse().read()
    connection.close()


async def take_page(browser: Browser, server: Server, view: View) -> None:
    """Take a picture of the page as somebody with the admin key sees it."""
    page = await browser.new_page(
        viewport={"width": view.width, "height": view.height}, color_scheme="dark" if view.scheme == "dark" else "light"
    )
    await page.goto(server.url)
    key = page.get_by_label("API key")
    await key.fill(server.key)
    await key.press("Enter")
    await page.wait_for_load_state("networkidle")
    await page.goto(f"{server.url}/#{view.address}")
    await page.wait_for_load_state("networkidle")
    await page.wait_for_timeout(view.seconds * 1_000)
    await page.screenshot(path=PICTURES / f"{view.file}.png")
    await page.close()


async def take_terminal(browser: Browser, name: str, command: str, text: str) -> None:
    """Take a picture of a terminal with the command and its output."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ {PROGRAM.name} {command}\n{text}"))
    drawn = console.export_svg(title="")
    page = await browser.new_page(viewport={"width": 1_180, "height": 900})
    await page.set_content(f'<body style="margin:0">{drawn}</body>')
    await page.locator("svg").first.screenshot(path=PICTURES / f"{name}.png")
    await page.close()


async def take_all(server: Server, folder: Path) -> None:
    """Take all pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for view in VIEWS:
            await take_page(browser, server, view)
        await take_panels(browser, server, int(time.time()), PICTURES / "grafana.png")
        for name, command in COMMANDS.items():
            await take_terminal(browser, name, command, await asyncio.to_thread(printed, command, server, folder))
        await browser.close()


def main() -> None:
    """Make the pictures anew."""
    with tempfile.TemporaryDirectory() as text, central(folder := Path(text)) as server:
        week = list(batches(time.time()))
        client = Client(Target(server.url, server.key, ""))
        fill(client, week, lambda _: None)
        with busy(server, folder):
            asyncio.run(take_all(server, folder))
    print(*sorted(path.relative_to(Path.cwd()) for path in PICTURES.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
