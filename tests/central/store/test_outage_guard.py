"""central/store/outage_guard.py: a store that is away makes nobody wait, and a commit is never cancelled."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from central.store.base import NewKey, NewName, OutcomeUnknown, StoreError, StoreUnavailable
from central.store.duck.store import DuckStore
from central.store.outage_guard import Guarded
from central.store.plan import Segment
from protocol.numbers import UNIT
from tests.central.spill_help import Line
from tests.central.store_help import CAPS, NOW, Clock, group, name, plain
from tests.central.write_help import total

LATE = 0.05
Call = Callable[[Guarded, Path], Awaitable[object]]

IN_TIME: dict[str, Call] = {
    "recall": lambda store, _: store.recall([bytes(16)]),
    "resolve": lambda store, _: store.resolve([NewName("b", "value", 1)], CAPS, NOW),
    "names_version": lambda store, _: store.names_version(),
    "find": lambda store, _: store.find(["a"]),
    "find_key": lambda store, _: store.find_key("x"),
    "count_rejected": lambda store, _: store.count_rejected(),
}
UNBOUND: dict[str, Call] = {
    "list_metrics": lambda store, _: store.list_metrics("", "", 5),
    "aggregate": lambda store, _: store.aggregate([1], 60, [Segment("raw", 0, 60)]),
    "delete_metric": lambda store, _: store.delete_metric("a"),
    "sweep": lambda store, _: store.sweep(),
    "list_keys": lambda store, _: store.list_keys(),
    "create_key": lambda store, _: store.create_key(NewKey("i", "n", "h", frozenset({"query"}), 1), NOW),
    "revoke_key": lambda store, _: store.revoke_key(1, NOW),
    "rotate_key": lambda store, _: store.rotate_key(1, "h", NOW),
    "backup": lambda store, folder: store.backup(folder / "copy"),
}


@pytest.fixture
async def real(tmp_path: Path) -> AsyncIterator[DuckStore]:
    store = DuckStore(tmp_path, clock=Clock())
    await store.open()
    await name(store, "a")
    yield store
    await store.close()


@pytest.fixture
async def line(real: DuckStore) -> Line:
    return Line(real)


@pytest.fixture
async def store(line: Line) -> AsyncIterator[Guarded]:
    made = Guarded(line, late_seconds=5, probe_seconds=0.01)
    yield made
    line.go.set()
    await made.close()


@pytest.fixture
async def hasty(line: Line) -> AsyncIterator[Guarded]:
    """A guard that waits hardly at all."""
    made = Guarded(line, late_seconds=LATE, probe_seconds=0.01)
    yield made
    line.go.set()
    await made.close()


@pytest.mark.parametrize("call", [*IN_TIME, *UNBOUND])
async def test_what_the_store_says_is_passed_on(store: Guarded, tmp_path: Path, call: str) -> None:
    await {**IN_TIME, **UNBOUND}[call](store, tmp_path)
    assert not store.down


@pytest.mark.parametrize("call", IN_TIME)
async def test_after_a_failure_nobody_asks_until_a_ping_is_answered(
    store: Guarded, line: Line, tmp_path: Path, call: str
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
async def test_a_store_that_does_not_answer_is_down(hasty: Guarded, line: Line, tmp_path: Path, call: str) -> None:
    line.go.clear()
    with pytest.raises(StoreUnavailable, match=r"within 0\.05 s"):
        await IN_TIME[call](hasty, tmp_path)
    assert hasty.down
    line.go.set()
    await hasty.up.wait()


@pytest.mark.parametrize("call", UNBOUND)
async def test_a_query_that_fails_says_nothing_about_the_store(
    store: Guarded, line: Line, tmp_path: Path, call: str
) -> None:
    line.cut = True
    with pytest.raises(StoreUnavailable):
        await UNBOUND[call](store, tmp_path)
    assert not store.down


async def test_a_commit_that_hangs_is_in_doubt_goes_on_and_keeps_the_store_down(
    hasty: Guarded, line: Line, real: DuckStore
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
    store: Guarded, line: Line, real: DuckStore
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
async def test_an_error_of_one_group_says_nothing_about_the_store(store: Guarded, line: Line, error: Exception) -> None:
    line.script = [(error, False)]
    with pytest.raises(type(error)):
        await store.commit(group())
    assert not store.down


async def test_upkeep_waits_until_the_store_is_back(store: Guarded, line: Line) -> None:
    line.cut = True
    with pytest.raises(StoreUnavailable):
        await store.recall([bytes(16)])
    await store.tidy(idle=True)
    line.cut = False
    await store.up.wait()
    await store.tidy(idle=True)
