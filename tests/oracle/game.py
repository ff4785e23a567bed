"""A service and the oracle: random requests over REST, and after each some random queries to both."""

import json
import random
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from central.app import Outside
from protocol.histogram import bucket_of, encode, to_text
from protocol.numbers import to_units
from protocol.times import parse_time
from tests.central.harness import QUICK_HASH, Central, Clock, running
from tests.oracle.brute_force import (
    OPERATIONS,
    SECOND,
    SIZES,
    Sample,
    Sent,
    Windows,
    by_window,
    filled,
    percentile_bounds,
    plain,
    shares_below,
)
from tests.oracle.replies import Row, answered_in_csv, answered_in_json
from tests.oracle.tagged import MAY_BE_EMPTY, Chosen, choose, some_tags

NAMES: Final = ("a", "a.b", "A", "b-1", "c_2", "never.sent")
LOAD_BATCHES: Final = 34
"""As many full batches at the start as make the embedded store fold its tail into rollups."""
_BATCH: Final = "/api/metrics/batch"
_DAY: Final = 86_400
ZONES: Final = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Pacific/Kiritimati")
_AGED_DAYS: Final = 4
"""After so many days the older half of the points is hidden."""
_ONE: Final = Decimal(1)
VALUES: Final = ("b-1", "c_2")
"""These are nearly always sent as values, the others as counters."""
PERCENTS: Final = ("0", "0.001", "1", "25", "50", "75", "90", "95", "99", "99.9", "99.999", "100")
FRACTION_BELOW: Final = "fraction_below"
_ROUNDED: Final = Decimal("0.0000005")
"""A share has six decimals."""


class Asked(NamedTuple):
    """What a query asks of each window; ``below`` is the value of fraction_below, if it has one."""

    operations: tuple[str, ...]
    window: str
    below: Decimal | None
    zone: ZoneInfo | None
    fill: str | None
    csv: bool
    chosen: Chosen

    @property
    def columns(self) -> tuple[str, ...]:
        """The numbers of a window, in order."""
        return self.operations + (FRACTION_BELOW,) * (self.below is not None)

    @property
    def is_of_values(self) -> bool:
        """Whether a counter does not have it."""
        return self.below is not None or any(name.startswith("p") for name in self.operations)

    @property
    def windows(self) -> Windows:
        """The windows that are meant."""
        return Windows(SIZES[self.window], self.zone)

    def query(self) -> dict[str, str]:
        """The parameters, without names and range."""
        made = {"operation": ",".join(self.operations), "window": self.window}
        made |= {"tz": self.zone.key} if self.zone else {}
        made |= {"fill": self.fill} if self.fill else {}
        made |= {"format": "csv"} if self.csv else {}
        made |= self.chosen.query()
        return made | ({FRACTION_BELOW: f"{self.below:f}"} if self.below is not None else {})


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
    incomplete_groups: int = 0
    """Those of them that were of groups."""

    async def load(self) -> None:
        """Many points of all days at once."""
        for _ in range(LOAD_BATCHES):
            await self._send([self._item() for _ in range(1_000)])

    async def send_known(self) -> None:
        """Points of names whose type is known, so that each of them counts, also when it is stored later."""
        items = [item for item in (self._item() for _ in range(60)) if item["name"] in self.sent.kinds]
        await self._send([item for item in items if item["type"] == self.sent.kinds[item["name"]]])

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
        elif choice < 0.2:
            await self._delete_series(self.dice.choice(NAMES))
        elif choice < 0.32 and self.stored:
            await self._again(*self.dice.choice(self.stored))
        else:
            await self._send([self._item() for _ in range(self.dice.choice((1, 1, 3, 40)))])
        for _ in range(5):
            await self._ask()

    # --- requests

    def _item(self) -> dict[str, Any]:
        """An item whose time is late, at an edge of a day or minute, or now; some are summaries or have a histogram."""
        dice = self.dice
        name = dice.choice(NAMES[:-1])
        usual, other = ("value", "counter") if name in VALUES else ("counter", "value")
        item: dict[str, Any] = {
            "name": name,
            "type": usual if dice.random() < 0.95 else other,
            "value": self._number(),
            "recorded_at": self._text(self._second() * SECOND + dice.choice((0, 0, dice.randrange(SECOND)))),
        }
        if tags := some_tags(dice):
            item["tags"] = tags
        if item["type"] == "value" and dice.random() < 0.3:
            values = [(self._number(), abs(self._number()) or _ONE) for _ in range(dice.choice((1, 2, 30)))]
            item |= {"count": sum(weight for _, weight in values), "values": tuple(values)}
            item |= {"min": min(values)[0], "max": max(values)[0], "histogram": _histogram(values)}
        elif dice.random() < (0.02 if item["type"] == "value" else 0.3):
            low, high = sorted((self._number(), self._number()))
            item |= {"count": abs(self._number()) or _ONE, "min": low, "max": high}
        return item

    async def _send(self, items: list[dict[str, Any]]) -> None:
        sent = [{field: value for field, value in item.items() if field != "values"} for item in items]
        body, key = _json({"metrics": sent}), f"{self.dice.getrandbits(128):032x}"
        reply = await self.central.post(_BATCH, body, headers={"Idempotency-Key": key})
        assert reply.status == 201, reply.text
        refused = {error["index"] for error in reply.json["errors"]}
        for index, item in enumerate(items):
            at = parse_time(item["recorded_at"])
            sample = plain(at, item["value"])
            if "count" in item:
                sample = Sample(at, item["value"], item["count"], item["min"], item["max"], item.get("values"))
            taken = self.sent.add(item["name"], item["type"], sample._replace(tags=item.get("tags", {})))
            assert taken != (index in refused), (item, reply.text)
        self.stored.append((key, body))

    async def _again(self, key: str, body: str) -> None:
        reply = await self.central.post(_BATCH, body, headers={"Idempotency-Key": key})
        assert (reply.status, reply.headers.get("Idempotency-Replayed")) == (201, "true"), reply.text

    async def _delete(self, name: str) -> None:
        reply = await self.central.ask("DELETE", f"/api/admin/metrics/{name}")
        assert reply.status == (200 if self.sent.delete(name) else 404), reply.text

    async def _delete_series(self, name: str) -> None:
        """A series that is there, if the name has any, or else perhaps one that is not."""
        tags = [one.tags for one in self.sent.samples.get(name, ()) if one.tags]
        wanted = self.dice.choice(tags) if tags else {"env": "prod"}
        query = {"tags": ",".join(f"{key}:{value}" for key, value in wanted.items())}
        reply = await self.central.ask("DELETE", f"/api/admin/metrics/{name}/series", params=query)
        assert reply.status == (200 if self.sent.delete_series(name, wanted) else 404), (query, reply.text)

    # --- questions

    async def _ask(self) -> None:
        dice = self.dice
        names = dice.sample(NAMES, dice.choice((1, 1, 2, 3)))
        asked = self._asked()
        if asked.chosen.keys and asked.window == "1h":  # hours of groups of several names are too many for an answer
            names = names[:1]
        start, end = sorted(self._moment() for _ in range(2))
        end += 1
        if asked.window == "1m":  # more minutes are too many for an answer
            start = max(start, end - 7 * _DAY * SECOND)
        query = {**asked.query(), "name": ",".join(names), "start": self._text(start), "end": self._text(end)}
        reply = await self.central.ask("GET", "/api/metrics/aggregate", params=query)
        if reply.status == 503 and self.away:
            return
        self.questions += 1
        if asked.is_of_values and any(self.sent.kinds.get(name) == "counter" for name in names):
            assert reply.error[0] == 400, (query, reply.text)
            return
        assert reply.status == 200, (query, reply.text)
        seen = (answered_in_csv if asked.csv else answered_in_json)(reply, names, asked.columns, asked.chosen)
        incomplete = reply.headers.get("Metrics-Complete") == "false"
        self.incomplete += incomplete
        lines = [line for name in names for line in asked.chosen.lines(self.sent, name, start, end)]
        if incomplete:
            self.incomplete_groups += asked.chosen.keys is not None
            if asked.chosen.top is None:  # which groups are the largest, only all points can say
                known = dict(lines)
                for line, rows in seen.items():
                    self._check_not_twice(line.name, rows, dict(by_window(known[line], asked.windows)))
            return
        if not asked.csv:  # CSV has no place for a line without windows
            assert list(seen) == [line for line, _ in lines], query
        for line, samples in lines:
            windows = by_window(samples, asked.windows)
            expected = windows if asked.fill is None else list(filled(windows, asked.windows, (start, end)))
            rows = seen.pop(line, [])
            assert [at for at, _ in rows] == [at for at, _ in expected], (query, line)
            for (at, row), (_, of_window) in zip(rows, expected, strict=True):
                self._check(line.name, at, asked, row, of_window)
        assert not seen, query

    def _check_not_twice(self, name: str, rows: list[tuple[int, Row]], known: Mapping[int, list[Sample]]) -> None:
        """Some points may be missing, and none may be there twice. Raises AssertionError that tells them."""
        for at, row in rows:
            most = self.sent.value(name, "count", known[at], 1) if at in known else 0
            assert (row.get("count") or 0) <= most, (name, at, row)

    def _check(self, name: str, at: int, asked: Asked, row: Row, samples: list[Sample] | None) -> None:
        """Compare the numbers of a window; without samples it was filled. Raises AssertionError that tells them."""
        for column, value in row.items():
            seen = (name, at, column, row, samples)
            if samples is None:
                assert value == (None if asked.fill == "null" else 0), seen
                continue
            bounds = self._bounds(name, at, asked, column, samples)
            assert (value is None) == (bounds is None), seen
            if value is not None and bounds is not None:
                assert bounds[0] <= value <= bounds[1], (bounds, *seen)

    def _bounds(
        self, name: str, at: int, asked: Asked, column: str, samples: list[Sample]
    ) -> tuple[Decimal, Decimal] | None:
        """The least and the most that may be answered; both are the same where the answer is exact."""
        if column in OPERATIONS:
            value = self.sent.value(name, column, samples, asked.windows.end(at) - at)
            return value, value
        if column != FRACTION_BELOW:
            return percentile_bounds(samples, Decimal(column[1:]))
        assert asked.below is not None
        shares = shares_below(samples, asked.below)
        return None if shares is None else (shares[0] - _ROUNDED, shares[1] + _ROUNDED)

    # --- chance

    def _asked(self) -> Asked:
        """One operation, or several with percentiles and a share among them."""
        dice = self.dice
        operations: tuple[str, ...] = (dice.choice(OPERATIONS),)
        window = dice.choice(list(SIZES))
        below = None
        if window != "1m" and dice.random() < 0.5:  # several of all days by the minute are too many for an answer
            names = [*OPERATIONS, *(f"p{percent}" for percent in PERCENTS)]
            operations = tuple(dice.sample(names, dice.choice((1, 4))))
            below = dice.choice((None, self._number()))
        zone = None if dice.random() < 0.5 else ZoneInfo(dice.choice(ZONES))
        fill = dice.choice(("zero", "null")) if SIZES[window] >= 900 and dice.random() < 0.4 else None
        chosen = choose(dice)
        if chosen.keys and window not in ("1h", "1d"):  # finer windows of groups are too many for an answer
            chosen = chosen._replace(keys=None, top=None)
        csv = dice.random() < 0.3 and MAY_BE_EMPTY not in (chosen.keys or ())
        return Asked(operations, window, below, zone, fill, csv, chosen)

    def _number(self) -> Decimal:
        dice = self.dice
        return Decimal(dice.choice((1, 5, dice.randrange(-(10**6), 10**6), dice.randrange(-(10**13), 10**13)))).scaleb(
            -dice.choice((0, 0, 2, 4))
        )

    def _second(self) -> int:
        """A time that is taken: of the last six days, often beside a midnight or the edge of a minute or an hour.

        It is never of the last minute: a host may set its clock back by seconds between this line and the request.
        """
        now = int(time.time()) - 60
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


def _histogram(values: list[tuple[Decimal, Decimal]]) -> str:
    """The histogram of values with their weights, as an item carries it."""
    weights: Counter[int] = Counter()
    for value, weight in values:
        weights[bucket_of(to_units(value))] += to_units(weight)
    return to_text(encode(weights))


def _json(value: Any) -> str:
    """JSON in which decimals have their own digits."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{_json(part)}" for name, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return f"{value:f}" if isinstance(value, Decimal) else json.dumps(value)
