"""Timings from packet to percentile: sampled or not, of many windows, against brute force over what was sent."""

import random
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from tests.end_to_end.conftest import Agent, Central, eventually
from tests.oracle.brute_force import Sample, percentile_bounds, shares_below

PERCENTS: Final = ("0", "0.1", "1", "10", "25", "50", "75", "90", "95", "99", "99.9", "100")
TYPES: Final = ("ms", "h", "d")
DAY: Final = 86_400
PACKETS, LINES = 50, 40


def sent_to(agent: Agent, dice: random.Random) -> list[tuple[Decimal, Decimal]]:
    """Send packets of timings, every third line sampled, some with several values. Returns values and weights."""
    values: list[tuple[Decimal, Decimal]] = []
    for _ in range(PACKETS):
        lines = []
        for number in range(LINES):
            texts = [f"{dice.lognormvariate(4, 1):.{dice.choice((0, 2, 4))}f}" for _ in range(dice.choice((1, 1, 3)))]
            rate, weight = ("|@0.5", 2) if number % 3 == 0 else ("", 1)
            lines.append(f"db.time:{':'.join(texts)}|{dice.choice(TYPES)}{rate}")
            values += [(Decimal(text), Decimal(weight)) for text in texts]
        agent.send("\n".join(lines).encode())
    return values


def test_percentiles_of_timings_are_within_the_bound(central: Central, agent: Agent) -> None:
    eventually(lambda: time.time() % DAY < DAY - 30, "midnight is over: all is to be in one day")
    values = sent_to(agent, random.Random(11))
    agent.settled(len(values))
    assert agent.ledger()["dropped"] == 0
    now = datetime.now(UTC)
    start, end = ((now + timedelta(days=days)).strftime("%Y-%m-%dT00:00:00Z") for days in (0, 1))
    query = f"name=db.time&operation=count,{','.join(f'p{percent}' for percent in PERCENTS)}&fraction_below=60"
    (window,) = central.get(f"/api/metrics/aggregate?{query}&window=1d&start={start}&end={end}")["data"]
    total, low, high = sum(weight for _, weight in values), min(values)[0], max(values)[0]
    sample = Sample(0, Decimal(0), Decimal(total), low, high, tuple(values))
    assert window["count"] == total
    for percent in PERCENTS:
        least, most = percentile_bounds([sample], Decimal(percent)) or (None, None)
        assert least is not None
        assert most is not None
        assert least <= window[f"p{percent}"] <= most, (percent, least, most, window)
    least, most = shares_below([sample], Decimal(60)) or (None, None)
    assert least is not None
    assert most is not None
    assert least - Decimal("0.000001") <= window["fraction_below"] <= most + Decimal("0.000001")
