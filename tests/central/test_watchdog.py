"""What systemd hears of the service: ready when it answers, alive while it works, stopping when it stops."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from central.app import Outside
from central.ingest.names import Names
from central.store.base import Group, StoreUnavailable
from central.store.duck.store import DuckStore
from central.write.group_commit import GroupCommit
from runtime.systemd import Notifier, show_life
from tests.central.harness import QUICK_HASH, process_environ, running
from tests.central.store_help import CAPS, SERIES_CAPS
from tests.central.write_help import item, sent
from tests.notify_socket import NotifySocket
from tests.patience import PATIENCE

WATCHED = {"NOTIFY_SOCKET": "/somewhere", "WATCHDOG_USEC": "1"}


class Messages(list[str]):
    def __call__(self, address: str, message: bytes) -> None:
        self.append(message.decode())


class BrokenStore(DuckStore):
    """A store that breaks whatever commits to it, as no store may."""

    async def commit(self, group: Group, *, again: bool = False) -> None:
        raise asyncio.CancelledError


async def test_there_are_signs_of_life_only_while_the_work_goes_on() -> None:
    messages, stop = Messages(), asyncio.Event()
    turns = iter([True, True, False, False, True])

    def running() -> bool:
        turn = next(turns, None)
        if turn is None:
            stop.set()
        return bool(turn)

    await show_life(Notifier(WATCHED, 1, messages), running, stop)
    assert messages == ["WATCHDOG=1"] * 3


async def test_a_group_commit_that_broke_off_is_not_running(tmp_path: Path) -> None:
    store = BrokenStore(tmp_path)
    await store.open()
    commits = GroupCommit(store, Names(store, CAPS, SERIES_CAPS))
    seen = [commits.running]
    commits.start()
    seen.append(commits.running)
    waiting = asyncio.create_task(commits.submit(sent(item())))
    async with asyncio.timeout(PATIENCE):
        while commits.running:  # noqa: ASYNC110 - nothing else tells of it
            await asyncio.sleep(0)
    assert seen == [False, True]
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await commits.close()
    await store.close()


async def test_a_store_that_is_away_is_no_reason_to_be_killed(tmp_path: Path) -> None:
    class Away(DuckStore):
        async def commit(self, group: Group, *, again: bool = False) -> None:
            raise StoreUnavailable("away")

    store = Away(tmp_path)
    await store.open()
    commits = GroupCommit(store, Names(store, CAPS, SERIES_CAPS))
    commits.start()
    assert (await commits.submit(sent(item()))).status == 503
    assert commits.running
    await commits.close()
    await store.close()


async def test_ready_comes_when_it_answers_and_stopping_before_the_end(tmp_path: Path) -> None:
    messages = Messages()
    outside = Outside(bcrypt_cost=QUICK_HASH, notify=Notifier({"NOTIFY_SOCKET": "/somewhere"}, 1, messages))
    async with running(tmp_path, outside=outside) as central:
        assert (await central.counter("a")).status == 201
        assert messages == [f"STATUS=serving {central.url} from duckdb", "READY=1"]
    assert messages[2:] == ["STOPPING=1"]


@pytest.mark.parametrize("abstract", [False, True])
async def test_a_process_says_it_over_the_socket_it_was_given(tmp_path: Path, abstract: bool) -> None:
    with NotifySocket(tmp_path / "notify", abstract=abstract) as systemd:
        environ = process_environ(tmp_path / "data", {**systemd.environ, "WATCHDOG_USEC": "300000"})
        service = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "central", "serve"), env=environ, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            await systemd.until("READY=1")
            assert [word.partition("=")[0] for word in systemd.said][:2] == ["STATUS", "READY"]
            for _ in range(2):
                await systemd.again("WATCHDOG=1")
            service.send_signal(signal.SIGTERM)
            await systemd.until("STOPPING=1")
            assert await service.wait() == 0
        finally:
            if service.returncode is None:
                service.kill()
                await service.wait()
