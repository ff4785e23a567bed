"""A real central service for tests: in this process on port 0, or as a process of its own for kills and signals."""

import asyncio
import contextlib
import io
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from central.access.first_key import ADMIN_KEY_FILE
from central.app import Outside, serve
from central.settings import load_settings
from central.store.duck.store import DuckStore
from protocol.times import format_time
from tests.central.store_help import migrate_quickly
from tests.patience import PATIENCE

QUICK_HASH = 4
"""bcrypt's cheapest cost."""
SERVE = ("-m", "central", "serve")


class Reply(NamedTuple):
    """An answer, with its body as text so that digits can be compared."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text, parse_float=Decimal)

    @property
    def error(self) -> tuple[int, str, str | None]:
        """Status, code and details.field of an error, whose shape is checked."""
        body = self.json
        assert body.keys() == {"success", "error"}, self.text
        assert body["success"] is False
        assert body["error"].keys() == {"code", "message", "details"}
        assert "Traceback" not in self.text
        return self.status, body["error"]["code"], body["error"]["details"].get("field")

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


@dataclass(frozen=True)
class Central:
    """A running service and a client that speaks to it with the admin key, which has all scopes."""

    url: str
    folder: Path
    key: str
    http: aiohttp.ClientSession

    async def ask(self, method: str, path: str, *, key: str | None = "", **options: Any) -> Reply:
        """One request; ``key`` None sends none, the empty one stands for the admin key."""
        headers = dict(options.pop("headers", {}))
        if key is not None:
            headers["X-API-Key"] = key or self.key
        options.setdefault("allow_redirects", False)
        async with self.http.request(method, self.url + path, headers=headers, **options) as answer:
            return Reply(answer.status, answer.headers, (await answer.read()).decode(errors="replace"))

    async def post(self, path: str, body: Any, **options: Any) -> Reply:
        """POST of text or bytes as they are, of anything else as JSON."""
        text = body if isinstance(body, bytes | str) else json.dumps(body)
        data = io.BytesIO(text.encode() if isinstance(text, str) else text)  # plain bytes are limited to 1 MiB
        return await self.ask("POST", path, data=data, **options)

    async def counter(self, name: str, value: str = "1", **options: Any) -> Reply:
        """A counter whose value is JSON text."""
        return await self.post("/api/metrics/counter", f'{{"name":"{name}","value":{value}}}', **options)

    async def value(self, name: str, value: str, **options: Any) -> Reply:
        """A value given as JSON text."""
        return await self.post("/api/metrics/value", f'{{"name":"{name}","value":{value}}}', **options)

    async def batch(self, *items: Any, **options: Any) -> Reply:
        return await self.post("/api/metrics/batch", {"metrics": list(items)}, **options)

    async def query(self, name: str, operation: str, window: str = "1d", *, key: str = "", **parameters: str) -> Reply:
        """An aggregate over all that can be there, unless start and end say otherwise."""
        now = int(time.time())
        span = {"start": format_time(now - 7 * 86_400 - 60), "end": format_time(now + 43_200)}
        query = {"name": name, "operation": operation, "window": window, **span, **parameters}
        return await self.ask("GET", "/api/metrics/aggregate", key=key, params=query)

    async def digits(self, name: str, operation: str) -> str:
        """The values of an answer over all days as raw text, with commas between: digits, not floats."""
        text = (await self.query(name, operation)).text
        return ",".join(part.split("}")[0] for part in text.split('"value":')[1:])

    async def total(self, name: str, operation: str = "sum") -> Decimal:
        """Sum or count over all days; 0 without data."""
        reply = await self.query(name, operation)
        assert reply.status == 200, reply.text
        return sum((Decimal(point["value"]) for point in reply.json["data"]), Decimal(0))

    async def by_tags(self, name: str, *keys: str, operation: str = "sum") -> dict[tuple[str | None, ...], Decimal]:
        """Sum or count over all days for each group of these keys."""
        reply = await self.query(name, operation, group_by=",".join(keys))
        assert reply.status == 200, reply.text
        return {
            tuple(group["tags"][key] for key in keys): sum(
                (Decimal(point["value"]) for point in group["points"]), Decimal(0)
            )
            for group in reply.json["data"]
        }

    async def new_key(self, *scopes: str, **fields: Any) -> tuple[int, str]:
        """Id and text of a key made for a test."""
        reply = await self.post("/api/admin/keys", {"name": "test", "scopes": list(scopes) or ["ingest"], **fields})
        assert reply.status == 201, reply.text
        return reply.json["data"]["id"], reply.json["data"]["key"]

    async def meter(self, sample: str) -> float:
        """A sample of /metrics, or the sum of those of a name without labels given; 0 when there is none."""
        text = (await self.ask("GET", "/metrics", key=None)).text
        labels = "" if "{" in sample else r"(?:\{.*\})?"
        return sum(map(float, re.findall(rf"^{re.escape(sample)}{labels} (\S+)$", text, re.MULTILINE)))


class Overlay:
    """A store, or a face of one, some of whose methods a test puts its own in front of; ``real`` is behind them."""

    def __init__(self, real: Any, **faces: Any) -> None:
        self.real = real
        self.__dict__.update(faces)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class Log(io.StringIO):
    """What is logged, as events."""

    def events(self, name: str) -> list[dict[str, Any]]:
        return [event for event in map(json.loads, self.getvalue().splitlines()) if event["event"] == name]


@dataclass
class Clock:
    """UTC seconds that move when a test says so. ``ahead`` is by how much somebody set the clock wrong."""

    now: float = field(default_factory=time.time)
    ahead: float = 0.0

    def __call__(self) -> float:
        return self.now + self.ahead

    def ticks(self) -> float:
        """The seconds that passed, which nobody can set."""
        return self.now


def faulty(wrap: Callable[[DuckStore], Any]) -> Outside:
    """The outside of a service whose store is ``wrap`` of the real one."""
    return Outside(bcrypt_cost=QUICK_HASH, wrap_store=wrap)


def now_text(shift: float = 0) -> str:
    """The time now, shifted by seconds, as the API writes it."""
    return format_time(int(time.time() + shift))


@asynccontextmanager
async def running(
    folder: Path,
    environ: Mapping[str, str] | None = None,
    *,
    outside: Outside | None = None,
    stop: asyncio.Event | None = None,
) -> AsyncIterator[Central]:
    """A service in this process; left cleanly, as on SIGTERM, unless ``stop`` was set before."""
    stop = stop or asyncio.Event()
    ports: asyncio.Queue[int] = asyncio.Queue()
    settings = load_settings({"METRICS_LISTEN": "127.0.0.1:0", "METRICS_DATA_DIR": str(folder), **(environ or {})})
    if settings.db_connection == "duckdb":
        migrate_quickly(folder)
    service = asyncio.create_task(
        serve(settings, ready=ports.put_nowait, stop=stop, outside=outside or Outside(bcrypt_cost=QUICK_HASH))
    )
    started = asyncio.create_task(ports.get())
    await asyncio.wait([started, service], return_when=asyncio.FIRST_COMPLETED)
    if not started.done():
        started.cancel()
        await service
    scheme = "http" if settings.tls_cert is None else "https"
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield Central(f"{scheme}://127.0.0.1:{started.result()}", folder, _key(folder, settings.admin_key), http)
    finally:
        stop.set()
        await service


def _key(folder: Path, given: str | None) -> str:
    return given or (folder / ADMIN_KEY_FILE).read_text(encoding="ascii").strip()


@dataclass
class Process:
    """A central service. ``log`` grows as it writes; stdout and stderr are one."""

    process: asyncio.subprocess.Process
    folder: Path
    port: int = 0
    log: list[str] = field(default_factory=list)
    reader: "asyncio.Task[None] | None" = None

    @property
    def pid(self) -> int:
        return self.process.pid

    async def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        return await self.wait()

    async def wait(self) -> int:
        code = await self.process.wait()
        if self.reader is not None:
            await self.reader
        return code

    def memory_peak(self) -> int:
        """Bytes of the largest resident set so far."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) * 1024


def process_environ(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without settings of ours, and the ones given."""
    inherited = {name: text for name, text in os.environ.items() if not re.match("METRICS_|DB_|REDIS_|QUEUE_", name)}
    given = {"METRICS_LISTEN": "127.0.0.1:0", "METRICS_DATA_DIR": str(folder), **environ}
    return {**inherited, "METRICS_RATE_LIMIT_DEFAULT": "1000000000", **given}


async def launch(folder: Path, program: Sequence[str] = SERVE, **environ: str) -> Process:
    """Start a service process and wait until it serves, or has ended."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        env=process_environ(folder, environ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    made = Process(process, folder)
    output = process.stdout
    assert output is not None
    try:
        async with asyncio.timeout(PATIENCE):
            while line := (await output.readline()).decode():
                made.log.append(line)
                if found := re.search(r'"port": (\d+)', line):
                    made.port = int(found[1])
                    break
    except TimeoutError:
        await made.end(signal.SIGKILL)
        raise

    async def drain() -> None:
        while line := (await output.readline()).decode():
            made.log.append(line)

    made.reader = asyncio.create_task(drain())
    return made


@asynccontextmanager
async def process(
    folder: Path, program: Sequence[str] = SERVE, **environ: str
) -> AsyncIterator[tuple[Process, Central]]:
    """A service process and a client to it; killed at the end unless it has ended."""
    made = await launch(folder, program, **environ)
    assert made.port, "".join(made.log)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            yield (
                made,
                Central(f"http://127.0.0.1:{made.port}", folder, _key(folder, environ.get("METRICS_ADMIN_KEY")), http),
            )
    finally:
        if made.process.returncode is None:
            await made.end(signal.SIGKILL)
