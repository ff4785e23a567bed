"""A request leaves no circle of objects behind, however it ends.

An error that somebody keeps also keeps its traceback, the frames in it, and with them the whole request. Where one of
these keeps the error, only the garbage collector ends it, and that stops every other request for tens of milliseconds.
"""

import asyncio
import gc
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from central.access.auth import new_key
from tests.central.harness import Central, Reply, running

COUNT = 20
BATCH = "/api/metrics/batch"
Ask = Callable[[Central, str, int], Awaitable[Reply]]
ENDS: dict[str, tuple[int, Ask]] = {
    "stored": (201, lambda central, key, _: central.counter("a", key=key)),
    "no key": (401, lambda central, _, __: central.ask("GET", "/api/metrics", key=None)),
    "no key of ours": (401, lambda central, _, number: central.ask("GET", "/api/metrics", key=f"k{number}")),
    "an unknown key": (401, lambda central, _, __: central.ask("GET", "/api/metrics", key=new_key().text)),
    "a wrong secret": (
        401,
        lambda central, key, number: central.ask("GET", "/api/metrics", key=f"{key[:16]}{number:043}"),
    ),
    "no scope": (403, lambda central, key, _: central.ask("GET", "/api/admin/keys", key=key)),
    "a bad value": (400, lambda central, key, _: central.counter("?", key=key)),
    "bad items": (201, lambda central, key, _: central.batch(*[{"name": "?"}] * 9, key=key)),
    "items of another type": (
        201,
        lambda central, key, _: central.batch(*[{"name": "a", "type": "value", "value": 1}] * 9, key=key),
    ),
    "a repeated field": (
        400,
        lambda central, key, _: central.post(BATCH, '{"metrics":[{"name":"a","name":"a"}]}', key=key),
    ),
    "no JSON": (400, lambda central, key, _: central.post(BATCH, "{", key=key)),
    "too many items": (400, lambda central, key, _: central.post(BATCH, '{"metrics":[%s1]}' % ("1," * 1_000), key=key)),
    "a torn gzip": (
        400,
        lambda central, key, _: central.post(BATCH, b"\x1f\x8b", key=key, headers={"Content-Encoding": "gzip"}),
    ),
    "an answer": (200, lambda central, key, _: central.query("a", "sum", key=key)),
    "a large answer": (200, lambda central, key, _: central.query("a", "sum", "1m", key=key, fill="zero")),
    "an unknown name": (200, lambda central, key, _: central.query("b", "sum", key=key)),
    "a bad question": (400, lambda central, key, _: central.query("a", "?", key=key)),
    "no such path": (404, lambda central, _, __: central.ask("GET", "/nowhere")),
    "no such method": (405, lambda central, _, __: central.ask("PUT", "/api/metrics")),
}
"""How a request ends: its status, and how to ask so."""


@contextmanager
def kept_garbage() -> Iterator[Counter[str]]:
    """Counts, by type, the objects that the block leaves to the garbage collector."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        found.update(type(one).__name__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


@pytest.mark.parametrize("name", ENDS)
async def test_a_request_keeps_no_frame_when_it_is_over(tmp_path: Path, name: str) -> None:
    status, ask = ENDS[name]
    async with running(tmp_path) as central:
        assert (await central.counter("a")).status == 201
        _, key = await central.new_key("ingest", "query")
        assert (await ask(central, key, COUNT)).status == status  # what is made once is made
        with kept_garbage() as found:
            for number in range(COUNT):
                await ask(central, key, number)
            await asyncio.sleep(0)
        assert found["frame"] < COUNT / 2, found.most_common(9)
