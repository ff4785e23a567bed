"""Each program starts with a compiled core that is older than its sources."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agent.fakes import KEY

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "central", "migrations", "protocol", "runtime")


@pytest.mark.parametrize(("program", "started"), [("agent run", "started"), ("central serve", "serving")])
def test_an_outdated_core_is_reported_and_plain_python_does_its_work(
    tmp_path: Path, program: str, started: str
) -> None:
    for name in PACKAGES:
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("agent", "central"):
        source = tmp_path / "native" / name / "module.c"
        source.parent.mkdir(parents=True)
        source.write_text("/* changed after the installation */")
    settings = {
        **{"FIESTA_AGENT_API_KEY": KEY, "FIESTA_AGENT_CENTRAL_URL": "http://127.0.0.1:1"},
        **{"FIESTA_AGENT_UDP": "127.0.0.1:0", "FIESTA_AGENT_HTTP": "127.0.0.1:0"},
        **{"FIESTA_AGENT_SPOOL_DIR": str(tmp_path / "spool")},
        **{"METRICS_LISTEN": "127.0.0.1:0", "METRICS_DATA_DIR": str(tmp_path / "data")},
    }
    log = []
    with subprocess.Popen(
        [sys.executable, "-m", *program.split()],
        cwd=tmp_path,
        env=os.environ | settings,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            log.append(json.loads(line))
            if log[-1]["event"] == started:
                process.terminate()
    assert process.returncode == 0
    (warning,) = [line for line in log if line["event"] == "core_outdated"]
    assert warning["message"].endswith("plain Python does its work, several times slower; run: make install")
    (line,) = [line for line in log if line["event"] == started]
    assert "plain Python" in line.get("message", "") or line.get("compiled") is False
