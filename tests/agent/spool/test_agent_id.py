"""agent/spool/agent_id.py: the id is made once, stays, and is private."""

import errno
import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.spool.agent_id import FILE, agent_id
from agent.spool.disk import Disk


def test_the_id_is_made_once_and_only_the_owner_can_read_it(tmp_path: Path) -> None:
    made = agent_id(tmp_path, Disk())
    assert len(made) == 32
    assert agent_id(tmp_path, Disk()) == made
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600


@pytest.mark.parametrize("content", [b"", b"x", b"A" * 32, b"0" * 33, b"0" * 32 + b"\n\n", b"\xff" * 32])
def test_a_damaged_id_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    made = agent_id(tmp_path, Disk())
    assert (tmp_path / FILE).read_text() == f"{made}\n"


@pytest.mark.parametrize("call", ["read", "write", "fsync", "rename"])
def test_a_fault_of_the_disk_is_raised_and_the_id_that_is_there_stays(tmp_path: Path, call: str) -> None:
    def fail(*_: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    faults: dict[str, Any] = {call: fail}
    if call == "read":
        (tmp_path / FILE).write_text("0" * 32)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        agent_id(tmp_path, replace(Disk(), **faults))
    assert (tmp_path / FILE).exists() == (call == "read")
