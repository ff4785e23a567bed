"""A name is looked up beside the loop, and nobody waits for a server of names that does not answer."""

import asyncio
import socket
import subprocess
import sys
import threading
from typing import Any

import pytest

from runtime.resolver import find_addresses
from tests.patience import PATIENCE

STREAM = socket.SOCK_STREAM
LOST = """
import asyncio, socket, threading, uvloop
from runtime.resolver import find_addresses

async def main():
    asked = threading.Event()
    def never(*given, **more):
        asked.set()
        threading.Event().wait()
    looking = asyncio.create_task(find_addresses("metrics.internal", 80, socket.SOCK_STREAM, never))
    while not asked.is_set():
        await asyncio.sleep(0)
    looking.cancel()

uvloop.run(main())
print("ended")
"""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
async def test_addresses_are_found(host: str) -> None:
    found = await find_addresses(host, 80, STREAM)
    assert found[0][4][0] in ("127.0.0.1", "::1")


async def test_a_name_that_is_not_known_is_an_error() -> None:
    def unknown(host: str, port: int, **more: object) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, f"{host} is not known")

    with pytest.raises(OSError, match=r"metrics\.internal is not known"):
        await find_addresses("metrics.internal", 80, STREAM, unknown)


async def test_a_fault_of_the_thread_is_raised_here() -> None:
    def broken(*given: object, **more: object) -> list[Any]:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await find_addresses("metrics.internal", 80, STREAM, broken)


async def test_an_answer_that_comes_too_late_is_nobodys() -> None:
    go, done = threading.Event(), threading.Event()

    def late(*given: object, **more: object) -> list[Any]:
        go.wait()
        done.set()
        return []

    looking = asyncio.create_task(find_addresses("metrics.internal", 80, STREAM, late))
    await asyncio.sleep(0)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    go.set()
    done.wait()
    await asyncio.sleep(0)


async def test_without_room_for_a_thread_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", full)
    with pytest.raises(OSError, match="there is no room for another thread"):
        await find_addresses("metrics.internal", 80, STREAM)


def test_a_process_ends_while_a_server_of_names_does_not_answer() -> None:
    ended = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "ended\n", "")
