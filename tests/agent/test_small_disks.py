"""Spool folders on real file systems that are full or read only: the agent works, and says what a kill would cost."""

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from agent.telemetry.status_text import render
from tests.agent.fakes import RealCentral
from tests.agent.process import AgentProcess, an_agent, balance
from tests.patience import a_moment
from tests.small_disk import SmallDisk


@pytest.fixture
async def central() -> AsyncIterator[RealCentral]:
    async with RealCentral().serving() as central:
        yield central


async def stores(agent: AgentProcess, central: RealCentral, total: int) -> dict[str, Any]:
    """Send a sample, wait until it is acknowledged, and return the status."""
    agent.send(["a:1|c"])
    await central.until(lambda: central.total("a") == total)
    while (status := await agent.status())["in_spool"] + status["in_window"]:
        await a_moment()
    assert balance(status) == 0
    return status


async def test_on_a_full_disk_the_agent_works_and_says_what_a_kill_costs(tmp_path: Path, central: RealCentral) -> None:
    disk = SmallDisk(tmp_path / "disk", "48m")
    try:
        disk.fill()
        async with an_agent(disk.folder / "spool", central) as agent:
            status = await stores(agent, central, 1)
            if disk.is_real:
                assert status["journal"] == "No space left on device"
                assert "a kill loses at most the open window: No space left on device" in render(status)
                assert "the disk fails: No space left on device" in status["health"][0]
                assert {"journal_fails", "disk_fails"} <= {entry["event"] for entry in agent.log}
            disk.free()
            for total in range(2, 60):
                if not (status := await stores(agent, central, total))["journal"]:
                    break
            assert (status["journal"], status["health"]) == ("", [])
            assert "a kill loses nothing that was read" in render(status)
    finally:
        disk.close()


def make_read_only(disk: SmallDisk, folder: Path) -> None:
    """Root may write everywhere but on a file system that is read only. Who may mount nothing is not root."""
    if disk.is_real:
        subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
    else:
        for path, _, _ in os.walk(folder, topdown=False):
            Path(path).chmod(0o500)


@pytest.mark.parametrize("used", [True, False])
async def test_in_a_read_only_folder_the_agent_works_and_says_so(
    tmp_path: Path, central: RealCentral, used: bool
) -> None:
    disk = SmallDisk(tmp_path / "disk", "48m")
    spool = disk.folder / "spool"
    try:
        spool.mkdir()
        if used:
            async with an_agent(spool, central) as agent:
                await stores(agent, central, 1)
        make_read_only(disk, spool)
        async with an_agent(spool, central) as agent:
            status = await stores(agent, central, 1 + used)
            why = status["journal"]
            assert why in ("Read-only file system", "Permission denied")
            assert f"a kill loses at most the open window: {why}" in render(status)
            assert f"the disk fails: {why}" in status["health"][0]
            with pytest.raises(ValueError, match="is in use by another agent"):
                async with an_agent(spool, central):
                    pass
    finally:
        disk.close()
