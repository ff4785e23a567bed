"""Which tests start a server, kill one or drive a browser, read off what their files import; and a check of it.

A test without a marker starts no program: ``make check`` runs those alone.
"""

import re
import subprocess
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from unittest import mock

import pytest

PROGRAMS: Final = frozenset(
    {
        *("tests.servers", "tests.redis_server", "tests.unit_file", "tests.small_disk", "tests.full_disk"),
        *("tests.agent.process", "tests.central.harness", "tests.central.mysql_help", "tests.central.redis_help"),
        *("tests.central.spill_help", "tests.central.page.browser", "tests.native.build", "tests.slow_proxy"),
        *("tests.galera", "tests.replica_pair", "tests.agent.journal.under_fire"),
        "tests.proxies",
        "tests.redis_tier",
        "tests.replication",
        *("tests.soak.rig", "tests.soak.soak", "loadtest.soak_agent", "loadtest.load", "quickstart.run", "subprocess"),
    }
)
"""Modules whose functions start a service, a server or another program."""
SERVER_FIXTURES: Final = frozenset({"mariadb", "database", "central", "all_of", "one", "store"})
KILLS: Final = ("kill", "stop", "faults", "disk", "soak", "clock_steps", "restore", "abuse")
"""Words in the names of modules whose tests end processes, stop them or take their disk away."""


_IMPORTED: Final = re.compile(rf"^(?:from|import) (?:{'|'.join(map(re.escape, sorted(PROGRAMS)))})\b(?!\.)", re.M)


@cache
def imports_programs(path: Path) -> bool:
    """Whether a file imports one of ``PROGRAMS`` at its top. All of its tests have the marker ``server`` then."""
    return _IMPORTED.search(path.read_text()) is not None


def mark(item: pytest.Item) -> None:
    """Add the markers of one test."""
    module = getattr(item, "module", None)
    name, used = getattr(module, "__name__", ""), _used(module) if module is not None else frozenset()
    fixtures = set(getattr(item, "fixturenames", ()))
    starts = imports_programs(item.path) or bool(used & PROGRAMS) or bool(fixtures & SERVER_FIXTURES)
    if "site" in fixtures or name.startswith("tests.central.page."):
        item.add_marker(pytest.mark.browser)
        starts = True
    if starts:
        item.add_marker(pytest.mark.server)
        if any(word in name.rpartition(".")[2] for word in KILLS):
            item.add_marker(pytest.mark.kill)


def slowest_first(items: list[pytest.Item]) -> None:
    """Put files with kills first and files that start no program last, and keep the order within each file.

    Each file has one worker. So no worker is left alone with a file that takes minutes.
    """
    ranks: dict[Path, int] = {}
    for item in items:
        rank = 0 if item.get_closest_marker("kill") else 1 if item.get_closest_marker("server") else 2
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


@cache
def _used(module: ModuleType) -> frozenset[str]:
    """The names of the modules that a test module imports, or imports from."""
    values = vars(module).values()
    return frozenset(str(getattr(value, "__module__", None) or getattr(value, "__name__", "")) for value in values)


class ProgramWatch:
    """Notes what a test without the marker ``server`` starts.

    It stands in for the constructor of ``Popen``, which ``subprocess`` and asyncio both call. An audit hook would also
    run when coverage begins to trace a thread. In Python 3.11 another thread that starts at that moment fails.
    """

    def __init__(self) -> None:
        self._started: list[str] = []
        self._popen: mock._patch[Any] | None = None

    def begin(self, item: pytest.Item) -> None:
        """Watch, unless the test may start programs."""
        self._started.clear()
        if item.get_closest_marker("server") is None:
            start = subprocess.Popen.__init__

            def noted(popen: subprocess.Popen[Any], args: Any, *more: Any, **named: Any) -> None:
                self._started.append(args if isinstance(args, str) else str(args[0]))
                start(popen, args, *more, **named)

            self._popen = mock.patch.object(subprocess.Popen, "__init__", noted)
            self._popen.start()

    def end(self) -> list[str]:
        """What was started that should not have been."""
        if self._popen is not None:
            self._popen.stop()
            self._popen = None
        return list(self._started)
