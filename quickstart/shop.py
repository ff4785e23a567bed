"""A week of a web shop, made up: what ``make demo`` sends. Pure, and the same for the same time.

Orders follow the hours of the day and the days of the week. On Tuesday evening the payment is slow and fails, and a
third host runs from Monday to Wednesday only. So there is something to find with percentiles, tags and "last seen".
"""

import math
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from protocol.histogram import bucket_of, encode, to_text
from protocol.numbers import UNIT
from protocol.times import format_time

SLOT_SECONDS: Final = 300
"""There is one item per series in each slot."""
_HOUR: Final = 3_600
_DAY: Final = 86_400
_COUNTRIES: Final = {"de": 9.0, "fr": 5.0, "nl": 3.0, "pl": 2.0}
"""Orders per slot at an average hour."""
_PAYMENTS: Final = {"card": 0.7, "invoice": 0.3}
_STEPS: Final = {"cart": 40.0, "address": 60.0, "payment": 180.0, "confirm": 90.0}
"""The usual milliseconds of each step of the checkout."""
_HOSTS: Final = ("web-1", "web-2", "web-3")
_SLOW: Final = 8.0
_SAMPLES: Final = 12


def items_at(start: int) -> list[dict[str, Any]]:
    """The items of the slot that begins at ``start``, as the body of a batch has them."""
    chance = random.Random(start)  # noqa: S311 - nothing secret
    weekday, second = (start // _DAY + 3) % 7, start % _DAY
    hosts = _HOSTS if weekday < 3 else _HOSTS[:2]
    broken = weekday == 1 and 18 * _HOUR <= second < 18 * _HOUR + 2_400
    found = [*_orders(chance, _busy(start), broken), *_web(chance, _busy(start), hosts, broken)]
    return [{**item, "recorded_at": format_time(start)} for item in found]


def _busy(start: int) -> float:
    """How busy the shop is: 1 on average, most in the evening and on Saturdays."""
    of_day = 1 + 0.8 * math.sin((start % _DAY / _DAY - 0.42) * 2 * math.pi)
    weekday = (start // _DAY + 3) % 7
    return of_day * (1.4 if weekday == 5 else 1.0)


def _orders(chance: random.Random, busy: float, broken: bool) -> Iterator[dict[str, Any]]:
    for country, usual in _COUNTRIES.items():
        revenue = 0.0
        for payment, share in _PAYMENTS.items():
            failing = 0.2 if broken and payment == "card" else 1.0
            orders = round(max(0.0, chance.gauss(usual * share * busy * failing, 1.0)))
            revenue += sum(round(chance.lognormvariate(3.6, 0.5), 2) for _ in range(orders))
            tags = {"country": country, "payment": payment}
            yield {"name": "shop.orders", "type": "counter", "value": orders, "tags": tags}
        yield {
            "name": "shop.revenue_eur", "type": "counter", "value": round(revenue, 2), "tags": {"country": country},
        }  # fmt: skip
    yield {"name": "shop.carts_open", "type": "value", "value": round(chance.gauss(120 * busy, 8))}


def _web(chance: random.Random, busy: float, hosts: tuple[str, ...], broken: bool) -> Iterator[dict[str, Any]]:
    for host in hosts:
        requests = round(2_400 * busy / len(hosts))
        failed = round(requests * (0.09 if broken else 0.001) * chance.uniform(0.5, 1.5))
        for status, number in {"200": requests, "404": round(requests * 0.01), "500": failed}.items():
            tags = {"host": host, "status": status}
            yield {"name": "shop.requests", "type": "counter", "value": number, "tags": tags}
        load = min(100.0, max(1.0, chance.gauss(28 * busy * len(_HOSTS) / len(hosts), 3)))
        yield {"name": "host.cpu_percent", "type": "value", "value": round(load, 1), "tags": {"host": host}}
        for step, usual in _STEPS.items():
            slow = _SLOW if broken and step == "payment" else 1.0
            samples = [round(chance.lognormvariate(math.log(usual * slow), 0.4), 1) for _ in range(_SAMPLES)]
            yield _timing("shop.checkout_ms", samples, {"endpoint": step, "host": host})


def _timing(name: str, samples: list[float], tags: dict[str, str]) -> dict[str, Any]:
    """A summary with its histogram, as an agent sends it."""
    units = [round(sample * UNIT) for sample in samples]
    histogram = Counter(bucket_of(number) for number in units)
    return {
        "name": name,
        "type": "value",
        "value": sum(units) / UNIT,
        "count": len(samples),
        "min": min(units) / UNIT,
        "max": max(units) / UNIT,
        "histogram": to_text(encode({bucket: count * UNIT for bucket, count in histogram.items()})),
        "tags": tags,
    }
