"""Which host this is: a text that stays the same and that other hosts do not have."""

import socket
from pathlib import Path


def host_name(machine_id: Path = Path("/etc/machine-id")) -> str:
    """The name of the host and, since names repeat in some fleets and ids in others, the machine's id."""
    try:
        known = machine_id.read_text("ascii").strip()
    except (OSError, ValueError):
        known = ""
    return f"{socket.gethostname()} {known}"
