"""Fixtures of the command line's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from central.commands import main as cli
from tests.central.commands.command_help import ADMIN_KEY, Run
from tests.central.fake_service import FakeService, serving


@pytest.fixture
def fake() -> Iterator[FakeService]:
    with serving() as service:
        yield service


@pytest.fixture
def run(fake: FakeService, tmp_path: Path) -> Run:
    """Run a command against the fake service; keywords are more environment, None takes a variable away."""

    def command(*arguments: str, **environ: str | None) -> Result:
        settings: dict[str, str | None] = {
            "METRICS_LISTEN": f"127.0.0.1:{fake.port}",
            "METRICS_DATA_DIR": str(tmp_path),
            "METRICS_ADMIN_KEY": ADMIN_KEY,
            **environ,
        }
        return CliRunner().invoke(cli.main, arguments, env=settings)

    return command
