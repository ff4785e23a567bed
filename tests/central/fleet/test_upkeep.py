"""central/fleet/upkeep.py: reports are written seldom, none is lost when the store fails, and processes share them."""

import asyncio
from pathlib import Path

from central.fleet.agents import Agents
from central.fleet.upkeep import FleetUpkeep
from central.store.base import StoreUnavailable
from central.store.duck.store import DuckStore
from tests.central.fleet.test_agents import OTHER, OURS, header
from tests.central.harness import Overlay
from tests.central.store_help import Clock


def hosts(agents: Agents) -> list[str]:
    return [one.report.host for one in agents.listed("", 9)]


async def test_processes_know_the_agents_of_each_other(tmp_path: Path) -> None:
    store = DuckStore(tmp_path)
    one, two, third = (Agents(process, Clock()) for process in (OURS, OTHER, "a" * 16))
    keep_one, keep_two = FleetUpkeep(one, store.agents), FleetUpkeep(two, store.agents)
    one.take_report(header(1), 1)
    two.take_report(header(2), 1)
    for upkeep in (keep_one, keep_two, keep_one):
        await upkeep.exchange()
    await FleetUpkeep(third, store.agents).exchange()
    assert hosts(one) == hosts(two) == hosts(third) == ["web-1", "web-2"]
    await store.close()


async def test_what_could_not_be_written_is_written_later(tmp_path: Path) -> None:
    async def away(*_: object) -> None:
        raise StoreUnavailable("down")

    store = DuckStore(tmp_path)
    agents = Agents(OURS, Clock())
    down = Overlay(store.agents, note=away)
    agents.take_report(header(1), 1)
    await FleetUpkeep(agents, down).exchange()
    assert await store.agents.seen_since(0) == []
    await FleetUpkeep(agents, store.agents).exchange()
    assert len(await store.agents.seen_since(0)) == 1
    await store.close()


async def test_it_writes_while_it_runs_and_at_the_end(tmp_path: Path) -> None:
    store = DuckStore(tmp_path)
    agents, written = Agents(OURS, Clock()), asyncio.Event()

    async def note(*given: object) -> None:
        await store.agents.note(*given)  # type: ignore[arg-type]
        written.set()

    upkeep = FleetUpkeep(agents, Overlay(store.agents, note=note), seconds=0.0)
    upkeep.start()
    agents.take_report(header(1), 1)
    await written.wait()
    agents.take_report(header(2), 1)
    await upkeep.close()
    assert len(await store.agents.seen_since(0)) == 2
    await store.close()
