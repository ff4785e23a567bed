"""Which samples ``tags``, ``group_by`` and ``top`` mean, by brute force over the tags of each. Pure."""

import random
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, NamedTuple

from tests.oracle.brute_force import Sample, Sent

TAGS: Final = {"env": ("prod", "dev", ""), "host": ("web-1", "web-2", "db:1"), "canary": ("true",)}
CONDITIONS: Final = (
    *("env:prod", "env:*", "env:", "!env:prod", "host:web-*", "host:*:1", "!host:*b*2", "!canary:*", "canary:tru*e"),
    *("region:*", "!region:*"),
)
MAY_BE_EMPTY: Final = "env"
"""Python's reader of CSV does not tell an empty value of this key from a sample without it."""


class Line(NamedTuple):
    """What a list of windows is of: a name, or a group of its series; the rest of ``top`` has no values."""

    name: str
    values: tuple[str | None, ...] = ()
    rest: bool = False


class Chosen(NamedTuple):
    """The three parameters. ``keys`` and ``top`` are None where they are not given."""

    conditions: tuple[str, ...] = ()
    keys: tuple[str, ...] | None = None
    top: int | None = None

    @property
    def by_series(self) -> bool:
        """Whether the answer is of groups, and not of whole names."""
        return bool(self.conditions) or self.keys is not None

    def query(self) -> dict[str, str]:
        """The parameters as a query has them."""
        made = {"tags": ",".join(self.conditions)} if self.conditions else {}
        made |= {"group_by": ",".join(self.keys)} if self.keys is not None else {}
        return made | ({"top": str(self.top)} if self.top is not None else {})

    def lines(self, sent: Sent, name: str, start: int, end: int) -> list[tuple[Line, list[Sample]]]:
        """The lines of a name in the order of an answer, each with its samples within the range."""
        if not self.by_series:
            return [(Line(name), sent.within(name, start, end))]
        samples = [one for one in sent.within(name, start, end) if self._takes(one)]
        if self.keys is None:
            # A line without samples is there if some other time has one, or might have.
            might = name in sent.kinds and self._holds({})
            known = might or any(self._takes(one) for one in sent.samples.get(name, ()))
            return [(Line(name), samples)] if known else []
        groups: dict[tuple[str | None, ...], list[Sample]] = {}
        for one in samples:
            groups.setdefault(tuple(one.tags.get(key) for key in self.keys), []).append(one)
        lines = [(Line(name, values), groups[values]) for values in sorted(groups, key=_in_order)]
        return lines if self.top is None else _largest(lines, sent, self.top)

    def _takes(self, sample: Sample) -> bool:
        return not sample.orphaned and self._holds(sample.tags)

    def _holds(self, tags: Mapping[str, str]) -> bool:
        return all(_meets(tags, condition) for condition in self.conditions)


def choose(dice: random.Random) -> Chosen:
    """Two of three questions are of groups."""
    conditions = tuple(dice.sample(CONDITIONS, dice.choice((0, 1, 1, 2))))
    keys = dice.choice((None, tuple(dice.sample([*TAGS, "region"], dice.choice((1, 2))))))
    return Chosen(conditions, keys, None if keys is None else dice.choice((None, 1, 3)))


def some_tags(dice: random.Random) -> dict[str, str]:
    """The tags of an item, in any order; often none."""
    keys = dice.sample(list(TAGS), dice.choice((0, 0, 1, 2, 3)))
    return {key: dice.choice(TAGS[key]) for key in keys}


def _meets(tags: Mapping[str, str], condition: str) -> bool:
    key, _, pattern = condition.removeprefix("!").partition(":")
    texts = ".*".join(map(re.escape, pattern.split("*")))
    found = key in tags and re.fullmatch(texts, tags[key], re.DOTALL) is not None
    return found != condition.startswith("!")


def _in_order(values: tuple[str | None, ...]) -> list[tuple[bool, str]]:
    return [(value is not None, value or "") for value in values]


def _largest(lines: list[tuple[Line, list[Sample]]], sent: Sent, top: int) -> list[tuple[Line, list[Sample]]]:
    def size(line: tuple[Line, list[Sample]]) -> Decimal:
        operation = "sum" if sent.kinds[line[0].name] == "counter" else "count"
        return -sent.value(line[0].name, operation, line[1], 1)

    ranked = sorted(lines, key=size)
    rest = [sample for _, samples in ranked[top:] for sample in samples]
    return ranked[:top] + ([(Line(ranked[0][0].name, (), rest=True), rest)] if rest else [])
