"""central/store/outage_guard.py: nobody waits for a store that is down, and a commit is never cancelled."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from inspect import iscoroutinefunction
from pathlib import Path

import pytest

from central.store.agents import AgentStore
from central.store.base import (
    KeyStore,
    NameStore,
    NewKey,
    NewName,
    OutcomeUnknown,
    Page,
    Store,
    StoreError,
    StoreUnavailable,
)
from central.store.duck.store import DuckStore
from central.store.outage_guard import OutageGuard
from central.store.plan import Segment
from central.store.retention import RetentionStore, State
from central.store.series import NewSeries, SeriesCaps, SeriesStore, TagFilter
from protocol.numbers import UNIT
from tests.central.spill_help import Line
from tests.central.store_help import CAPS, NOW, Clock, group, migrate_quickly, name, plain, whole
from tests.central.write_help import total

LATE = 0.05
Call = Callable[[OutageGuard, Path], Awaitable[object]]


async def nothing() -> None:
    """Work that is done at once."""


IN_TIME: dict[str, Call] = {
    "find_requests": lambda store, _: store.find_requests([bytes(16)]),
    "names.resolve": lambda store, _: store.names.resolve([NewName("b", "value", 1)], CAPS, NOW),
    "names.version": lambda store, _: store.names.version(),
    "names.find": lambda store, _: store.names.find(["a"]),
    "series.resolve": lambda store, _: store.series.resolve([NewSeries(1, "a:b")], SeriesCaps(9, 9), NOW),
    "series.find": lambda store, _: store.series.find([NewSeries(1, "a:b")]),
    "series.count": lambda store, _: store.series.count(),
    "keys.find": lambda store, _: store.keys.find(["x"]),
    "retention.line": lambda store, _: store.retention.line(),
    "count_rejected": lambda store, _: store.count_rejected(),
}
UNBOUND: dict[str, Call] = {
    "names.page": lambda store, _: store.names.page(Page("", "", 5)),
    "names.describe": lambda store, _: store.names.describe(["a"], 0, 0),
    "names.created_after": lambda store, _: store.names.created_after(0, 9),
    "aggregate": lambda store, _: store.aggregate(whole([1]), 60, [Segment("raw", 0, 60)]),
    "distribute": lambda store, _: store.distribute(whole([1]), 60, [Segment("raw", 0, 60)]),
    "names.delete": lambda store, _: store.names.delete("a"),
    "names.purge": lambda store, _: store.names.purge(),
    "series.select": lambda store, _: store.series.select(1, [], 0, 9),
    "series.search": lambda store, _: store.series.search(None, [], 9),
    "series.all_keys": lambda store, _: store.series.all_keys("", 9),
    "series.all_values": lambda store, _: store.series.all_values("env", "", 9),
    "series.keys": lambda store, _: store.series.keys(1),
    "series.values": lambda store, _: store.series.values(1, TagFilter("a", "*"), "", 9),
    "series.delete": lambda store, _: store.series.delete(1, "a:b"),
    "keys.list_all": lambda store, _: store.keys.list_all(),
    "keys.create": lambda store, _: store.keys.create(NewKey("i", "n", "h", frozenset({"query"}), 1), NOW),
    "keys.change": lambda store, _: store.keys.change(1, lambda row: row, NOW),
    "keys.note_uses": lambda store, _: store.keys.note_uses({1: NOW}),
    "keys.revoke": lambda store, _: store.keys.revoke(1, NOW),
    "keys.rotate": lambda store, _: store.keys.rotate(1, "h", NOW),
    "keys.keep_fast_hash": lambda store, _: store.keys.keep_fast_hash("h", "f" * 64),
    "agents.note": lambda store, _: store.agents.note([], NOW, 9),
    "agents.seen_since": lambda store, _: store.agents.seen_since(NOW),
    "retention.state": lambda store, _: store.retention.state(),
    "retention.replace": lambda store, _: store.retention.replace(State(), State()),
    "retention.log": lambda store, _: store.retention.log(9),
    "retention.drop": lambda store, _: store.retention.drop(0),
    "under_lock": lambda store, _: store.under_lock(nothing),
    "backup": lambda store, folder: store.backup(folder / "copy"),
}


BY_ITSELF = {"commit", "ping", "tidy", "close"}
"""What passes neither door; each has its own tests below."""


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[DuckStore]:
    migrate_quickly(tmp_path)
    store = DuckStore(tmp_path, clock=Clock())
    await store.open()
    await name(store, "a")
    yield store
    await store.close()


@pytest.fixture
async def line(real: DuckStore) -> Line:
    return Line(real)


@pytest.fixture
async def store(line: Line) -> AsyncIterator[OutageGuard]:
    made = OutageGuard(line, late_seconds=5, probe_seconds=0.01)
    yield made
    line.go.set()
    await made.close()


@pytest.fixture
async def hasty(line: Line) -> AsyncIterator[OutageGuard]:
    """A guard that waits hardly at all."""
    made = OutageGuard(line, late_seconds=LATE, probe_seconds=0.01)
    yield made
    line.go.set()
    await made.close()


def test_every_call_of_a_store_is_in_one_of_the_tables() -> None:
    faces = {
        "": Store,
        "names.": NameStore,
        "series.": SeriesStore,
        "keys.": KeyStore,
        "agents.": AgentStore,
        "retention.": RetentionStore,
    }
    promised = {
        face + name
        for face, promise in faces.items()
        for name in vars(promise)
        if iscoroutinefunction(vars(promise)[name])
    }
    assert promised == {*IN_TIME, *UNBOUND} | BY_ITSELF
    assert not IN_TIME.keys() & UNBOUND.keys()


async def test_what_the_store_says_is_passed_on(store: OutageGuard, tmp_path: Path) -> None:
    for name_of_call, call in {**IN_TIME, **UNBOUND}.items():
        await call(store, tmp_path)
        assert not store.down, name_of_call


@pytest.mark.parametrize("call", IN_TIME)
async def test_after_a_failure_nobody_asks_until_a_ping_is_answered(
    store: OutageGuard, line: Line, tmp_path: Path, call: str
) -> None:
    line.cut = True
    with pytest.raises(StoreUnavailable, match="cut"):
        await IN_TIME[call](store, tmp_path)
    for other in {**IN_TIME, **UNBOUND}.values():
        with pytest.raises(StoreUnavailable, match="the store is down"):
            await other(store, tmp_path)
    with pytest.raises(StoreUnavailable, match="the store is down"):
        await store.commit(group())
    line.cut = False
    await store.up.wait()
    await IN_TIME[call](store, tmp_path)
    assert store.outages == 1


@pytest.mark.parametrize("call", IN_TIME)
async def test_a_store_that_does_not_answer_is_down(hasty: OutageGuard, line: Line, tmp_path: Path, call: str) -> None:
    line.go.clear()
    with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
        await IN_TIME[call](hasty, tmp_path)
    assert hasty.down
    line.go.set()
    await hasty.up.wait()


async def test_a_query_that_fails_says_nothing_about_the_store(store: OutageGuard, line: Line, tmp_path: Path) -> None:
    line.cut = True
    for name_of_call, call in UNBOUND.items():
        with pytest.raises(StoreUnavailable):
            await call(store, tmp_path)
        assert not store.down, name_of_call


async def test_a_commit_that_hangs_is_in_doubt_goes_on_and_keeps_the_store_down(
    hasty: OutageGuard, line: Line, real: DuckStore
) -> None:
    made = group([plain(await name(real, "a"), UNIT)])
    line.go.clear()
    with pytest.raises(OutcomeUnknown):
        await hasty.commit(made)
    with pytest.raises(StoreUnavailable):
        await hasty.commit(made, again=True)
    line.go.set()
    await hasty.up.wait()
    await real.commit(made, again=True)
    assert (await total(real), hasty.late_commits) == (1, 1)


async def test_a_caller_that_goes_away_leaves_its_commit_to_be_made(
    store: OutageGuard, line: Line, real: DuckStore
) -> None:
    line.go.clear()
    task = asyncio.create_task(store.commit(group([plain(await name(real, "a"), UNIT)])))
    await line.entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    line.go.set()
    await store.close()
    assert await total(real) == 1


@pytest.mark.parametrize("error", [StoreError("odd"), OutcomeUnknown("2013")])
async def test_an_error_of_one_group_says_nothing_about_the_store(
    store: OutageGuard, line: Line, error: Exception
) -> None:
    line.script = [(error, False)]
    with pytest.raises(type(error)):
        await store.commit(group())
    assert not store.down


async def test_upkeep_waits_until_the_store_is_back(store: OutageGuard, line: Line) -> None:
    line.cut = True
    with pytest.raises(StoreUnavailable):
        await store.find_requests([bytes(16)])
    await store.tidy(idle=True)
    line.cut = False
    await store.up.wait()
    await store.tidy(idle=True)
