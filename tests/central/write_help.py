"""A group commit over a real store whose commits can be held and made to fail."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from central.ingest.answers import Answer
from central.ingest.names import Names
from central.ingest.submission import RequestKey, Submission, batch, request_key, single
from central.store.base import Group
from central.store.duck.store import DuckStore
from central.write.group_commit import WAIT_SECONDS, GroupCommit
from protocol.item import Kind
from protocol.numbers import UNIT
from tests.central.store_help import CAPS, NOW, SERIES_CAPS, Clock, ask

PATH = "/api/metrics/batch"
REPLAYED = {"Idempotency-Replayed": "true"}


class HeldStore(DuckStore):
    """A store that notes each commit, holds it until ``go`` is set, and fails as ``script`` says.

    A script's entry is an exception to raise before the commit, or after it where it is paired with True.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder, clock=clock)
        self.go = asyncio.Event()
        self.go.set()
        self.entered = asyncio.Event()
        self.groups: list[Group] = []
        self.script: list[tuple[Exception, bool]] = []
        self.tidied: asyncio.Queue[bool] = asyncio.Queue()

    async def commit(self, group: Group, *, again: bool = False) -> None:
        self.groups.append(group)
        self.entered.set()
        await self.go.wait()
        error, after = self.script.pop(0) if self.script else (None, True)
        if after:
            await super().commit(group, again=again)
        if error is not None:
            raise error

    async def tidy(self, *, idle: bool) -> None:
        await super().tidy(idle=idle)
        self.tidied.put_nowait(idle)

    def sizes(self) -> list[int]:
        """Rows of each group."""
        return [len(group.rows) for group in self.groups]


def item(name: str = "a", value: int = UNIT, kind: Kind = "value") -> dict[str, object]:
    """An item of a batch; ``value`` in whole numbers."""
    return {"name": name, "type": kind, "value": value // UNIT}


def sent(*items: object, key: str | None = None, key_id: int = 1) -> Submission:
    """A batch as the web layer submits it."""
    raw = {"metrics": list(items)}
    submission = batch(raw, key_id, NOW, 5)
    submission.request = request_key(key_id, key, PATH, json.dumps(raw).encode())
    return submission


def sent_single(name: str, kind: Kind, key: str | None = None) -> Submission:
    body = json.dumps({"name": name, "value": 1}).encode()
    submission = single(body, kind, 1, NOW, 5)
    submission.request = request_key(1, key, f"/api/metrics/{kind}", body)
    return submission


def key_of(submission: Submission) -> RequestKey:
    assert submission.request is not None
    return submission.request


def code(answer: Answer) -> str:
    return str(json.loads(answer.body)["error"]["code"])


async def total(store: DuckStore, name: str = "a") -> int:
    """The sum of all values of a name, in whole numbers."""
    found = await store.names.find([name])
    buckets = await ask(store, [metric.id for metric in found.values()]) if found else []
    return sum(bucket.total for bucket in buckets) // UNIT


class Writing:
    """A group commit over a HeldStore, and requests that wait behind a commit which is held."""

    def __init__(self, store: HeldStore, names: Names, commits: GroupCommit) -> None:
        self.store, self.names, self.commits = store, names, commits
        self.tasks: list[asyncio.Task[Answer]] = []

    async def hold(self) -> None:
        """Hold a commit, of the metric ``first``; ``answers`` lets it go."""
        self.store.go.clear()
        self.store.entered.clear()
        self._first = asyncio.create_task(self.commits.submit(sent(item("first"))))
        await self.store.entered.wait()

    def add(self, *submissions: Submission) -> None:
        """Submit at once, in this order."""
        self.tasks += [asyncio.create_task(self.commits.submit(submission)) for submission in submissions]

    async def waiting(self, requests: int) -> None:
        """Let what was added begin; then so many requests are in the queue."""
        await asyncio.sleep(0)
        assert self.commits.waiting == requests

    async def answers(self) -> list[Answer]:
        """Let go; the answers to what was added."""
        self.store.go.set()
        tasks, self.tasks = self.tasks, []
        return await asyncio.gather(*tasks)


@asynccontextmanager
async def write(folder: Path, wait_seconds: float = WAIT_SECONDS) -> AsyncIterator[Writing]:
    """A group commit that runs, over a store in ``folder``."""
    clock = Clock()
    store = HeldStore(folder, clock)
    await store.open()
    names = Names(store, CAPS, SERIES_CAPS)
    commits = GroupCommit(store, names, clock=clock, wait_seconds=wait_seconds)
    commits.start()
    try:
        yield Writing(store, names, commits)
    finally:
        store.go.set()
        await commits.close()
        await store.close()
