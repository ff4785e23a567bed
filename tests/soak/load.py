"""Those who write: REST clients that try again until they have their 201, some without a key, and one who reads."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import aiohttp

from protocol.numbers import UNIT, units_to_text
from protocol.times import format_time
from tests.soak.oracle import Oracle, Point, plain
from tests.soak.tagged import hit, took, took_often
from tests.soak.times import Attempt, Times

FRESH_SECONDS = 3.0
"""An answer that does not say ``"complete": false`` has in it what was acknowledged so long before."""
PATIENCE = (1.0, 3.0, 12.0)
"""Seconds that a client waits for an answer before it asks another process; the service answers within ten."""
_AGAIN = frozenset({0, 502, 503, 504})
"""No answer, or one that says to send it again: the proxy's are 502 and 504."""
_GAVE_UP = "no answer in time"
_NOTHING_STORED = "nothing was stored"
_KEPT = 400


class Request(NamedTuple):
    """A request, its points and its Idempotency-Key; empty for none."""

    path: str
    body: bytes
    key: str
    points: tuple[Point, ...]

    @property
    def single(self) -> bool:
        """Whether it is a single POST and no batch."""
        return not self.path.endswith("batch")


@dataclass
class Load:
    """What all clients share. ``nodes`` are the central services by name and URL."""

    http: aiohttp.ClientSession
    nodes: dict[str, str]
    key: str
    dice: random.Random
    oracle: Oracle = field(default_factory=Oracle)
    times: Times = field(default_factory=Times)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    faults: list[str] = field(default_factory=list)
    kept: list[Request] = field(default_factory=list)
    """Some requests that were acknowledged, to be sent again at the end."""
    pulse: list[tuple[float, int]] = field(default_factory=list)
    """When the reader's name was acknowledged, and how often by then."""
    pulses: int = 0
    answers: int = 0

    # --- what is sent

    def single(self, name: str, kind: str, units: int, *, key: bool = True) -> Request:
        """A counter or a value with the present time."""
        body = json.dumps({"name": name, "value": 0}).replace(": 0", f": {units_to_text(units)}")
        return Request(f"/api/metrics/{kind}", body.encode(), self._new_key() if key else "", (plain(name, units),))

    def any_single(self) -> Request:
        """A single POST of a random name with a random value."""
        kind, units = self.dice.choice(("counter", "value")), self.dice.randint(-(10**9), 10**9)
        if self.dice.random() < 0.01:  # mostly a name that nobody used before; the database may be away by now
            return self.single(f"soak.new.{kind}.{self.dice.randrange(30)}", kind, units)
        if self.dice.random() < 0.3:
            return self._tagged_single(kind)
        return self.single(f"soak.{kind}.{self.dice.randrange(4)}", kind, units)

    def _tagged_single(self, kind: str) -> Request:
        """A sample with tags. It carries its time, so that the oracle knows its day."""
        now = int(time.time())
        point, fields = hit(self.dice) if kind == "counter" else took(self.dice, now)
        body = f'{{{fields}, "recorded_at": "{format_time(now)}"}}'
        return Request(f"/api/metrics/{kind}", body.encode(), self._new_key(), (point,))

    def any_batch(self) -> Request:
        """Counters, values and summaries of the last days, with tags and histograms or without."""
        points, items = [], []
        for _ in range(self.dice.choice((1, 5, 40, 200))):
            kind = self.dice.choice(("counter", "value", "summary", "hit", "took", "took often"))
            point, item = self._item(kind, f"soak.{kind}.{self.dice.randrange(4)}")
            points.append(point)
            items.append(item)
        body = f'{{"metrics": [{", ".join(items)}]}}'
        return Request("/api/metrics/batch", body.encode(), self._new_key(), tuple(points))

    def _item(self, kind: str, name: str) -> tuple[Point, str]:
        second = int(time.time()) - self.dice.choice((0, 30, 4_000, 90_000, 500_000))
        at = format_time(second)
        if kind == "hit":
            point, fields = hit(self.dice)
            return point, f'{{{fields}, "recorded_at": "{at}", "type": "counter"}}'
        if kind.startswith("took"):
            point, fields = (took if kind == "took" else took_often)(self.dice, second)
            return point, f'{{{fields}, "recorded_at": "{at}", "type": "value"}}'
        units = self.dice.randint(-(10**13), 10**13)
        common = f'"name": "{name}", "recorded_at": "{at}", "value": {units_to_text(units)}'
        if kind != "summary":
            return plain(name, units), f'{{{common}, "type": "{kind}"}}'
        weight = self.dice.randint(1, 50) * UNIT // 2
        low, high = sorted(self.dice.randint(-(10**9), 10**9) for _ in "ab")
        numbers = f'"count": {units_to_text(weight)}, "min": {units_to_text(low)}, "max": {units_to_text(high)}'
        return Point(name, weight, units, low, high), f'{{{common}, {numbers}, "type": "value"}}'

    def _new_key(self) -> str:
        return f"{self.dice.getrandbits(64):x}"

    # --- who sends

    async def write(self, make: Callable[[], Request], pause: float) -> None:
        """A client with keys: it makes a request, tries until it is acknowledged, and makes the next."""
        while not self.over.is_set():
            await self._until_stored(make())
            await asyncio.sleep(pause)

    async def write_without_keys(self, name: str, pause: float) -> None:
        """A client that does not try again, because its point could count twice."""
        while not self.over.is_set():
            await self._try(self.single(name, "counter", UNIT, key=False))
            await asyncio.sleep(pause)

    async def read(self, pause: float) -> None:
        """Writes a name and reads it. The answer must have all that was acknowledged, or say it is not complete."""
        while not self.over.is_set():
            await self._until_stored(self.single("soak.pulse", "counter", UNIT))
            self.pulses += 1
            self.pulse.append((time.monotonic(), self.pulses))
            await self._read_pulse(self.pulses)
            await asyncio.sleep(pause)

    async def watch(self, name: str, url: str) -> None:
        """Asks a process whether it is ready, as a proxy does."""
        while not self.over.is_set():
            begun = time.monotonic()
            with suppress(aiohttp.ClientError, TimeoutError, OSError):
                async with self.http.get(f"{url}/ready", timeout=aiohttp.ClientTimeout(total=PATIENCE[1])) as answer:
                    if answer.status == 200:
                        self.times.ready(name, begun, time.monotonic(), await answer.text())
            await asyncio.sleep(0.2)

    async def _read_pulse(self, count: int) -> None:
        node, url = self.dice.choice(list(self.nodes.items()))
        begun = time.monotonic()
        now = time.time()
        span = {"start": format_time(int(now) - 43_200), "end": format_time(int(now) + 43_200)}
        query = {"name": "soak.pulse", "operation": "sum", "window": "1d", **span}
        try:
            async with self.http.get(
                f"{url}/api/metrics/aggregate", params=query, headers={"X-API-Key": self.key}
            ) as answer:
                body = await answer.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return
        if answer.status != 200:
            if answer.status != 503:
                self.faults.append(f"a query got {answer.status} from {node}: {body}")
            return
        self.answers += 1
        total = sum(point["value"] for point in body["data"])
        at_least = max((number for at, number in self.pulse if at < begun - FRESH_SECONDS), default=0)
        self.pulse = [entry for entry in self.pulse if entry[0] >= begun - FRESH_SECONDS or entry[1] == at_least]
        if total > count or (total < at_least and body.get("complete", True)):
            self.faults.append(f"{node} answered {total} and called it complete; {at_least} to {count} are right")

    async def send_again(self, requests: Sequence[Request]) -> None:
        """Send again what was acknowledged long ago. Each answer must be a replay, whichever process gives it."""
        for request in requests:
            status, text, replayed = await self._post(request, self.dice.choice(list(self.nodes.values())))
            if (status, replayed) != (201, "true"):
                self.faults.append(f"a replay of {request.path} got {status}, replayed {replayed}: {text}")

    async def _until_stored(self, request: Request) -> None:
        while True:
            if await self._try(request):
                return
            await asyncio.sleep(self.dice.uniform(0.05, 0.3))

    async def _try(self, request: Request) -> bool:
        """Send the request once. Returns True if it needs no other attempt."""
        node, url = self.dice.choice(list(self.nodes.items()))
        begun, patience = time.monotonic(), self.dice.choice(PATIENCE)
        status, text, _ = await self._post(request, url, patience)
        if request.single and (text != _GAVE_UP or patience == PATIENCE[-1]):
            self.times.note(Attempt(begun, time.monotonic(), node, status, _message(text)))
        if status == 201:
            self.times.wrote(time.monotonic())
            self.oracle.acknowledge(request.points)
            self._keep(request)
        elif status not in _AGAIN:
            self.faults.append(f"{request.path} got {status} from {node}: {text}")
        elif not request.key and _NOTHING_STORED not in text:
            self.oracle.doubt(request.points)
        return status not in _AGAIN or not request.key

    async def _post(self, request: Request, url: str, patience: float = PATIENCE[-1]) -> tuple[int, str, str]:
        headers: dict[str, Any] = {"X-API-Key": self.key}
        if request.key:
            headers["Idempotency-Key"] = request.key
        try:
            timeout = aiohttp.ClientTimeout(total=patience)
            async with self.http.post(
                url + request.path, data=request.body, headers=headers, timeout=timeout
            ) as answer:
                return answer.status, await answer.text(), answer.headers.get("Idempotency-Replayed", "")
        except TimeoutError:
            return 0, _GAVE_UP, ""
        except (aiohttp.ClientError, OSError) as error:
            refused = isinstance(error, aiohttp.ClientConnectorError)
            return 0, _NOTHING_STORED if refused else repr(error), ""

    def _keep(self, request: Request) -> None:
        if request.key:
            if len(self.kept) < _KEPT:
                self.kept.append(request)
            elif self.dice.random() < 0.05:
                self.kept[self.dice.randrange(_KEPT)] = request


def _message(text: str) -> str:
    """The message of one of our errors. Any other text stays as it is."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return text
