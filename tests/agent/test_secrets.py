"""The agent's key is in no log line and on no page, also where central, or what stands for it, says it."""

import asyncio
import json
import re
import signal
from pathlib import Path

import pytest

from tests.agent.process import an_agent
from tests.patience import a_moment

CANARY = "gf_q7w3k9x2m5ab_" + "CanaryOfOneHost-" * 2 + "CanaryOfOne"

JSON = "Content-Type: application/json; charset=utf-8\r\n"


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, status: str, asked: asyncio.Event) -> None:
    """Answer every request with its own head, key and all, as the message of an error."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            found = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(found[1]) if found else 0)
            error = {"code": "UNAUTHORIZED", "message": f"refused: {head.decode()}", "details": {}}
            body = json.dumps({"success": False, "error": error}).encode()
            writer.write(f"HTTP/1.1 {status}\r\n{JSON}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            if CANARY.encode() in head:
                asked.set()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


@pytest.mark.parametrize("status", ["401 No", "400 No", "503 No", "302 Elsewhere", "200 OK"])
async def test_the_key_is_in_no_log_page_or_file(tmp_path: Path, status: str) -> None:
    asked = asyncio.Event()
    async with (
        await asyncio.start_server(lambda r, w: echo(r, w, status, asked), "127.0.0.1", 0) as central,
        an_agent(
            tmp_path / "spool", f"http://127.0.0.1:{central.sockets[0].getsockname()[1]}", API_KEY=CANARY
        ) as agent,
    ):
        agent.send(["a:1|c"])
        await asked.wait()
        while not any((await agent.status())["answers"].values()):
            await a_moment()
        pages = [(await agent.get(path))[1] for path in ("/status", "/metrics", "/health")]
        assert await agent.end(signal.SIGTERM) == 0
    output = json.dumps([agent.log, agent.failed, *pages])
    assert CANARY[16:] not in output
    assert CANARY[16:].encode() not in b"".join(contents(tmp_path))


def contents(folder: Path) -> list[bytes]:
    """Of all files."""
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
