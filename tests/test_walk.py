"""CONTRIBUTING's tables "What happens to a packet, file by file" name the files in the order of their first call."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from central.store.base import Group
from central.store.duck.store import DuckStore
from tests.agent.fakes import KEY, RealCentral
from tests.agent.in_process import running as running_agent
from tests.agent.in_process import turns_until
from tests.central.harness import Central, Overlay, faulty
from tests.central.harness import running as running_central
from tests.walk import ROOT, Walk

PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def documented(title: str) -> list[str]:
    """The files of a table, from its first row to its last."""
    section = PAGE.partition(f"### {title}\n")[2].partition("\n#")[0]
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \|$", section, re.MULTILINE)
    assert len(rows) >= 5, title
    return rows


def called(walk: Walk, title: str) -> list[str]:
    """The files of the table in the order in which they were first called."""
    rows = documented(title)
    return [name for name in walk.files if name in rows]


def folders(names: list[str]) -> set[str]:
    return {str(Path(name).parent) for name in names}


async def test_what_happens_to_a_packet(tmp_path: Path) -> None:
    walk, title = Walk(), "A packet at the agent"
    with walk.installed():
        async with RealCentral().serving() as central, running_agent(tmp_path, central.url) as agent:
            aggregator = agent.agent.aggregator
            agent.put(["first:1|c"])  # the thread asks for more room in the journal too, which it does once
            await turns_until(lambda: aggregator.learned == 1)
            with walk.recording():
                agent.put(["foo:1|c\nbar:2|ms"])
                await turns_until(lambda: aggregator.learned == 3)
                await agent.agent.settle()
                agent.ticks.tick()
                await central.until(lambda: central.total("foo") == 1)
                await agent.end()
    assert called(walk, title) == documented(title)
    assert folders(list(walk.files)) - {"agent", "agent/telemetry", "runtime"} <= folders(documented(title))


async def test_what_happens_to_a_batch(tmp_path: Path) -> None:
    async def send(central: Central, number: int) -> None:
        headers = {"Idempotency-Key": f"batch-{number}"}
        assert (await central.batch({"name": "a", "type": "counter", "value": 1}, headers=headers)).status == 201

    await walked(tmp_path, "A batch at central", send)


async def test_what_happens_to_a_query(tmp_path: Path) -> None:
    async def ask(central: Central, _: int) -> None:
        assert (await central.query("a", "sum")).status == 200

    await walked(tmp_path, "A query at central", ask)


async def test_what_happens_to_a_refused_key(tmp_path: Path) -> None:
    async def send(central: Central, number: int) -> None:
        key = KEY.replace("abcdefghijkl", f"abcdefghijk{number}")
        assert (await central.counter("a", key=key)).status == 401

    await walked(tmp_path, "A refused key", send)


class Upkeep(Overlay):
    """A store that says when the upkeep after its last commit is ``over``: a busy machine does it after the answer."""

    def __init__(self, real: DuckStore, over: asyncio.Event) -> None:
        super().__init__(real)
        self._over = over

    async def commit(self, group: Group, *, again: bool = False) -> None:
        self._over.clear()
        await self.real.commit(group, again=again)

    async def tidy(self, *, idle: bool) -> None:
        await self.real.tidy(idle=idle)
        self._over.set()


async def walked(folder: Path, title: str, act: Callable[[Central, int], Awaitable[None]]) -> None:
    """Other upkeep, by the clock, may call a file first: then the walk is done again."""
    walk, over = Walk(), asyncio.Event()
    with walk.installed():
        async with running_central(folder, outside=faulty(lambda store: Upkeep(store, over))) as central:
            assert (await central.counter("a")).status == 201
            for number in range(5):
                await over.wait()
                walk.files.clear()
                with walk.recording():
                    await act(central, number)
                if called(walk, title) == documented(title):
                    return
    assert called(walk, title) == documented(title)
