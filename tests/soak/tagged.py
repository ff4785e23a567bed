"""Items with tags, and timings with histograms, as REST clients send them. Pure."""

import json
import random
from collections import Counter
from typing import Final

from protocol.histogram import bucket_of, encode, to_text
from protocol.numbers import UNIT, units_to_text
from tests.soak.oracle import Point

HITS: Final = "soak.hits"
TOOK: Final = "soak.took"
KEYS: Final = ("env", "path")
"""The keys of all tags that are sent here and by the agents."""
_VALUES: Final = {"env": ("prod", "dev", ""), "path": ("/a", "/b")}
_WEIGHTS: Final = (UNIT, 2 * UNIT, 33_333)
_DAY: Final = 86_400


def some_tags(dice: random.Random) -> dict[str, str]:
    """One of twelve sets of tags, in any order; none is one of them."""
    keys = dice.sample(KEYS, dice.choice((0, 1, 2, 2)))
    return {key: dice.choice(_VALUES[key]) for key in keys}


def canonical(tags: dict[str, str]) -> str:
    """The text that stands for tags; empty for none."""
    return ",".join(f"{key}:{value}" for key, value in sorted(tags.items()))


def hit(dice: random.Random) -> tuple[Point, str]:
    """A counter: the point, and the fields of its item."""
    units, tags = dice.randint(-(10**9), 10**9), some_tags(dice)
    name = f"{HITS}.{dice.randrange(2)}"
    fields = f'"name": "{name}", "value": {units_to_text(units)}, "tags": {json.dumps(tags)}'
    return Point(name, UNIT, units, units, units, canonical(tags)), fields


def took(dice: random.Random, at: int) -> tuple[Point, str]:
    """A plain timing of that second."""
    units, tags = _timing(dice), some_tags(dice)
    name = f"{TOOK}.{dice.randrange(2)}"
    fields = f'"name": "{name}", "value": {units_to_text(units)}, "tags": {json.dumps(tags)}'
    return Point(name, UNIT, units, units, units, canonical(tags), at // _DAY, ((units, UNIT),)), fields


def took_often(dice: random.Random, at: int) -> tuple[Point, str]:
    """Several timings of that second, some of them sampled, as a summary with their histogram."""
    tags, name = some_tags(dice), f"{TOOK}.{dice.randrange(2)}"
    samples = [(_timing(dice), dice.choice(_WEIGHTS)) for _ in range(dice.choice((1, 3, 20)))]
    values, weights = zip(*samples, strict=True)
    total = sum(value * weight for value, weight in samples) // UNIT
    spread: Counter[int] = Counter()
    for value, weight in samples:
        spread[bucket_of(value)] += weight
    numbers = {"value": total, "count": sum(weights), "min": min(values), "max": max(values)}
    fields = ", ".join(
        (
            f'"name": "{name}", "tags": {json.dumps(tags)}, "histogram": "{to_text(encode(spread))}"',
            *(f'"{field}": {units_to_text(units)}' for field, units in numbers.items()),
        )
    )
    return Point(
        name, sum(weights), total, min(values), max(values), canonical(tags), at // _DAY, tuple(samples)
    ), fields


def _timing(dice: random.Random) -> int:
    """Milliseconds in units, of many orders of magnitude; now and then below zero."""
    return int(dice.lognormvariate(12, 3)) * dice.choice((1, 1, 1, 1, -1))
