"""How many single POSTs per second a server answers, by ``wrk``."""

import re
import subprocess
import tempfile
from typing import Final

from loadtest.servers import Server

_LUA: Final = """
wrk.method = "POST"
wrk.body = '%s'
wrk.headers["X-API-Key"] = "%s"
"""


def posts(server: Server, body: str, *, seconds: int, connections: int) -> float:
    """Counters per second over so many connections. Raises RuntimeError if the server refused one."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua", encoding="ascii") as script:
        script.write(_LUA % (body, server.key))
        script.flush()
        printed = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name, f"{server.url}/api/metrics/counter"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", printed)
    if bad:
        raise RuntimeError(f"{bad[1]} requests were refused")
    found = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    assert found is not None, printed
    return float(found[1])
