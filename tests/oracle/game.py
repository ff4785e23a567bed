"""A service and the oracle: random requests over REST, and after each some random queries to both."""

import csv
import io
import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from central.app import Outside
from protocol.times import parse_time
from tests.central.harness import QUICK_HASH, Central, Clock, Reply, running
from tests.oracle.brute_force import OPERATIONS, SECOND, SIZES, Sample, Sent, Windows, filled

NAMES: Final = ("a", "a.b", "A", "b-1", "c_2", "never.sent")
LOAD_BATCHES: Final = 34
"""As many full batches at the start as make the embedded store fold its tail into rollups."""
_BATCH: Final = "/api/metrics/batch"
_DAY: Final = 86_400
ZONES: Final = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Kiritimati")
_AGED_DAYS: Final = 4
"""After so many days the older half of the points is hidden."""
_ONE: Final = Decimal(1)


Points = list[tuple[int, Decimal | None]]
Answer = dict[str, Points]


@dataclass
class Game:
    """One service, all that was sent to it, and a seed that says what comes next."""

    central: Central
    dice: random.Random
    sent: Sent = field(default_factory=Sent)
    stored: list[tuple[str, str]] = field(default_factory=list)
    """Key and body of batches that were stored: they are sent again now and then."""
    questions: int = 0
    away: bool = False
    """Whether the database may be away: then a question may be answered with 503."""
    incomplete: int = 0
    """Answers that said that some points are not there yet."""

    async def load(self) -> None:
        """Many points of all days at once."""
        for _ in range(LOAD_BATCHES):
            await self._send([self._item() for _ in range(1_000)])

    async def send_known(self) -> None:
        """Points of names whose type is known, so that each of them counts, also when it is stored later."""
        items = [item for item in (self._item() for _ in range(60)) if item["name"] in self.sent.kinds]
        await self._send([{**item, "type": self.sent.kinds[item["name"]]} for item in items])

    async def ask(self, times: int) -> None:
        """Questions alone."""
        for _ in range(times):
            await self._ask()

    async def hide(self) -> None:
        """Move the line of retention to where it should be by now."""
        reply = await self.central.ask("POST", "/api/admin/retention/run")
        assert reply.status == 201, reply.text
        self.sent.line = parse_time(reply.json["data"]["line"])

    async def step(self) -> None:
        """One request that changes something, and five questions. Raises AssertionError that tells the difference."""
        choice = self.dice.random()
        if choice < 0.08:
            await self._delete(self.dice.choice(NAMES))
        elif choice < 0.2 and self.stored:
            await self._again(*self.dice.choice(self.stored))
        else:
            await self._send([self._item() for _ in range(self.dice.choice((1, 1, 3, 40)))])
        for _ in range(5):
            await self._ask()

    # --- requests

    def _item(self) -> dict[str, Any]:
        """An item whose time is late, at an edge of a day or minute, or now; some are summaries."""
        dice = self.dice
        item: dict[str, Any] = {
            "name": dice.choice(NAMES[:-1]),
            "type": "counter" if dice.random() < 0.9 else "value",
            "value": self._number(),
            "recorded_at": self._text(self._second() * SECOND + dice.choice((0, 0, dice.randrange(SECOND)))),
        }
        if dice.random() < 0.3:
            low, high = sorted((self._number(), self._number()))
            item |= {"count": abs(self._number()) or _ONE, "min": low, "max": high}
        return item

    async def _send(self, items: list[dict[str, Any]]) -> None:
        body, key = _json({"metrics": items}), f"{self.dice.getrandbits(128):032x}"
        reply = await self.central.post(_BATCH, body, headers={"Idempotency-Key": key})
        assert reply.status == 201, reply.text
        refused = {error["index"] for error in reply.json["errors"]}
        for index, item in enumerate(items):
            at = parse_time(item["recorded_at"])
            total = item["value"]
            sample = Sample(at, total, item.get("count", _ONE), item.get("min", total), item.get("max", total))
            taken = self.sent.add(item["name"], item["type"], sample)
            assert taken != (index in refused), (item, reply.text)
        self.stored.append((key, body))

    async def _again(self, key: str, body: str) -> None:
        reply = await self.central.post(_BATCH, body, headers={"Idempotency-Key": key})
        assert (reply.status, reply.headers.get("Idempotency-Replayed")) == (201, "true"), reply.text

    async def _delete(self, name: str) -> None:
        reply = await self.central.ask("DELETE", f"/api/admin/metrics/{name}")
        assert reply.status == (200 if self.sent.delete(name) else 404), reply.text

    # --- questions

    async def _ask(self) -> None:
        dice = self.dice
        names = dice.sample(NAMES, dice.choice((1, 1, 2, 3)))
        operation, window = dice.choice(OPERATIONS), dice.choice(list(SIZES))
        start, end = sorted(self._moment() for _ in range(2))
        end += 1
        query = {"operation": operation, "window": window, "start": self._text(start), "end": self._text(end)}
        zone = None if dice.random() < 0.5 else ZoneInfo(dice.choice(ZONES))
        fill = dice.choice(("zero", "null")) if SIZES[window] >= 900 and dice.random() < 0.4 else None
        query |= {"tz": zone.key} if zone else {}
        query |= {"fill": fill} if fill else {}
        query |= {"format": "csv"} if dice.random() < 0.3 else {}
        reply = await self.central.ask("GET", "/api/metrics/aggregate", params={"name": ",".join(names), **query})
        if reply.status == 503 and self.away:
            return
        assert reply.status == 200, (query, reply.text)
        told: Answer = dict((_told_by_csv if "format" in query else _told)(reply, names))
        windows = Windows(SIZES[window], zone)
        wanted: Answer = {}
        for name in names:
            points = list(self.sent.answer(name, operation, windows, start, end))
            empty = None if fill == "null" else Decimal(0)
            wanted[name] = [*(points if fill is None else filled(points, empty, windows, (start, end)))]
        if reply.headers.get("Metrics-Complete") == "false":
            self.incomplete += 1
            if operation == "count":  # some of it may be missing, and nothing may be there twice
                for name in names:
                    most = dict(wanted[name])
                    assert all((value or 0) <= (most.get(at) or 0) for at, value in told[name]), (query, name)
        else:
            assert told == wanted, (query, names)
        self.questions += 1

    # --- chance

    def _number(self) -> Decimal:
        dice = self.dice
        return Decimal(dice.choice((1, 5, dice.randrange(-(10**6), 10**6), dice.randrange(-(10**13), 10**13)))).scaleb(
            -dice.choice((0, 0, 2, 4))
        )

    def _second(self) -> int:
        """A time that is taken: of the last six days, often beside a midnight or the edge of a minute or an hour."""
        now = int(time.time())
        at = now - self.dice.randrange(6 * _DAY)
        edge = self.dice.choice((0, 0, 60, 3_600, _DAY))
        return min(now, at // edge * edge + self.dice.choice((-1, 0, 1, 59))) if edge else at

    def _moment(self) -> int:
        """A bound: beside a time as above, with a fraction or without."""
        fraction = self.dice.choice((0, 0, 1, SECOND - 1, 999_000_000, 500_000_000, self.dice.randrange(SECOND)))
        return (self._second() + self.dice.choice((0, 0, 1, -_DAY, _DAY))) * SECOND + fraction

    def _text(self, moment: int) -> str:
        """The moment as ISO 8601 in some zone, with all digits of its fraction, or without them where they are 0."""
        zone = timezone(timedelta(minutes=self.dice.choice((0, 0, 60, -300, 330, 345, -765, 14 * 60))))
        seconds, fraction = divmod(moment, SECOND)
        local = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
        digits = f"{fraction:09d}".rstrip("0") if fraction else self.dice.choice(("", "000"))
        offset = self.dice.choice(("Z", "+00:00")) if not local.utcoffset() else local.isoformat()[-6:]
        return local.strftime("%Y-%m-%dT%H:%M:%S") + (f".{digits}" if digits else "") + offset


async def play(folder: Path, environ: Mapping[str, str], seed: int, steps: int, seconds: float = 0) -> int:
    """Play a game of so many steps, and on until the seconds are over; how many questions were asked.

    Raises AssertionError for the first answer that is wrong.
    """
    clock = Clock()
    settings = {"METRICS_RATE_LIMIT_DEFAULT": "1000000", "METRICS_RETENTION_DAYS": "8", **environ}
    outside = Outside(clock=clock, ticks=clock.ticks, bcrypt_cost=QUICK_HASH)
    async with running(folder, settings, outside=outside) as central:
        game = Game(central, random.Random(seed))
        await game.load()
        end = time.monotonic() + seconds
        while steps > 0 or time.monotonic() < end:
            await game.step()
            steps -= 1
            clock.now = max(clock.now, time.time())
        clock.now += _AGED_DAYS * _DAY
        await game.hide()
        await game.ask(30)
        return game.questions


def _told(reply: Reply, names: list[str]) -> Iterator[tuple[str, Points]]:
    data = reply.json["data"]
    for name in names:
        points = data if len(names) == 1 else data[name]
        yield name, [(parse_time(point["timestamp"]), _number(point["value"])) for point in points]


def _told_by_csv(reply: Reply, names: list[str]) -> Iterator[tuple[str, Points]]:
    rows = list(csv.DictReader(io.StringIO(reply.text, newline="")))
    for name in names:
        mine = [row for row in rows if row["name"] == name]
        yield name, [(parse_time(row["timestamp"]), _number(row["value"] or None)) for row in mine]


def _number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _json(value: Any) -> str:
    """JSON in which decimals have their own digits."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_json(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value)
