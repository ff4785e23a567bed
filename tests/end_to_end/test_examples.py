"""The examples of the documentation, run as they are written, against real processes.

A page is one bash session: its blocks run in order and share a folder and variables. Ports of the defaults are
replaced by those of this run's processes, and curl fails where the service answers with an error. Guides run behind a
line that loses answers.
"""

import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.doc_pages import ROOT, RUNNABLE, Block, blocks, pages
from tests.end_to_end.bad_line import bad_line
from tests.end_to_end.conftest import Agent, Central

LANGUAGES = set(os.environ.get("EXAMPLES", "sh python js php").split())
"""`make guides` adds those whose compilers are too heavy for `make test`."""
HEAVY = {"go", "java"}
SECONDS = 300


def is_run(block: Block) -> bool:
    return block.language in RUNNABLE and block.reason is None


def languages(page: str) -> set[str]:
    return {block.language for block in blocks(page) if is_run(block)}


def is_guide(page: str) -> bool:
    return page.startswith("docs/guides/") and not page.endswith("README.md")


PAGES = [page for page in pages() if languages(page) and languages(page) <= LANGUAGES]


class Session:
    """A folder with the programs that the pages use, and the settings of this run's processes."""

    def __init__(self, folder: Path, central: Central, agent: Agent, url: str) -> None:
        self.folder = folder
        where = {"8080": central.url, "8125": f":{agent.port}", "9126": agent.http}
        self._ports = {default: address.rsplit(":", 1)[1] for default, address in where.items()}
        (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
        (folder / "node_modules").symlink_to(ROOT / "tests" / "end_to_end" / "node" / "node_modules")
        (folder / "data").mkdir()
        (folder / "data" / "quickstart.key").write_text(central.key)
        shim = folder / "bin" / "curl"
        shim.parent.mkdir()
        shim.write_text(f'#!/bin/sh\nexec {shutil.which("curl")} --fail-with-body --silent --show-error "$@"\n')
        shim.chmod(0o755)
        self._environ = {
            **{name: value for name, value in os.environ.items() if not re.match("METRICS_|FIESTA_|DB_|REDIS_", name)},
            "PATH": f"{shim.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin",
            "METRICS_URL": url,
            "METRICS_KEY": central.key,
            "METRICS_LISTEN": central.url.removeprefix("http://"),
            "METRICS_DATA_DIR": str(central.folder),
            "FIESTA_AGENT_UDP": f"127.0.0.1:{agent.port}",
            "FIESTA_AGENT_HTTP": agent.http.removeprefix("http://"),
            "FIESTA_AGENT_CENTRAL_URL": central.url,
            "FIESTA_AGENT_API_KEY": central.key,
            "FIESTA_AGENT_SPOOL_DIR": str(agent.folder),
        }

    def run(self, page: str) -> str:
        """What the page printed. Fails with its output and the block that failed."""
        script = ["set -euo pipefail"]
        for block in filter(is_run, blocks(page)):
            text = re.sub(r"\b(8080|8125|9126)\b", lambda found: self._ports[found[1]], block.text)
            script.append(f"echo '--- {page}:{block.line}'")
            if block.language == "sh":
                script.append(text)
                continue
            program, ending = RUNNABLE[block.language]
            file = self.folder / f"block_{block.line}.{ending}"
            file.write_text(text)
            script.append(f"{program} {file.name}")
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]
        return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


@pytest.mark.parametrize("page", [page for page in PAGES if not is_guide(page)])
def test_the_examples_of_a_page_work(page: str, folder: Path, central: Central, agent: Agent) -> None:
    Session(folder, central, agent, central.url).run(page)


@pytest.mark.parametrize("page", [page for page in PAGES if is_guide(page)])
def test_a_guide_counts_each_order_once_when_answers_are_lost(
    page: str, folder: Path, central: Central, agent: Agent
) -> None:
    with bad_line(central.url) as (url, tries):
        Session(folder, central, agent, url).run(page)
    assert sorted(tries.values()) == [3, 3], "one counter and one batch, each tried three times"
    agent.settled(agent.ledger()["received"])
    assert agent.ledger()["dropped"] == 0
    assert central.ask("shop.orders", "sum") == 2  # one by StatsD, one by REST
    assert central.ask("shop.orders", "count") == 2
    assert central.ask("shop.checkout_ms", "max") == 320
    assert central.ask("shop.revenue", "sum") == Decimal("19.99")
    assert central.ask("shop.basket_size", "count") == 1


def test_a_page_says_what_only_make_guides_runs() -> None:
    for page in pages():
        if languages(page) & HEAVY:
            assert "`make guides` runs" in (ROOT / page).read_text()
