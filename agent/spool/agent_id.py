"""The id of this agent, which the service knows it by. It is made once and kept in the spool folder.

It is in ``agent-id``, 32 hex digits that only the agent's user can read. Where a spool folder was copied to
another host, remove the file: the next start makes a new one.
"""

import re
from pathlib import Path
from typing import Final

from agent.spool.batch import random_id
from agent.spool.disk import Disk

FILE: Final = "agent-id"
_ID: Final = re.compile(rb"[0-9a-f]{32}\n?")


def agent_id(folder: Path, disk: Disk) -> str:
    """The id in the folder, or a new one, which is stored. Raises OSError when the file cannot be read or written."""
    path = folder / FILE
    try:
        data = disk.read(path)
    except (FileNotFoundError, ValueError):
        data = b""
    if _ID.fullmatch(data):
        return data.decode().strip()
    made = random_id()
    disk.save(path, f"{made}\n".encode())
    return made
