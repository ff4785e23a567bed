"""The parameters that choose and group series, and the groups that they make. Pure.

tags=env:prod,host:web-*,!canary:*     all must hold; "*" is any text, also none; "!" negates
group_by=endpoint,status               a series without a key has no value there
top=10                                 the largest groups, and the rest as one
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from central.store.series import ANYTHING, Series, TagFilter
from protocol.tags import KEY_RULE, MAX_TAGS, VALUE_RULE, is_key, is_value, parse_tags, quoted

MOST_GROUPS: Final = 1_000
"""The most groups that one answer may name with ``top``."""
UNTAGGED: Final = Series(0, "")
"""Stands for the samples of a name that have no tags. No series has this id."""
_NOT: Final = "!"


class TagGroup(NamedTuple):
    """Series that agree in the values of some keys; ``values`` has None where they have no such key."""

    values: tuple[str | None, ...]
    series_ids: tuple[int, ...]


def parse_filters(text: str) -> tuple[TagFilter, ...]:
    """The filters of a comma list, each once. Raises ValueError that says what is wrong and what would be right."""
    found = dict.fromkeys(_filter(part) for part in text.split(","))
    if len(found) > MAX_TAGS:
        raise ValueError(f"must be at most {MAX_TAGS} conditions; there are {len(found)}")
    return tuple(found)


def parse_keys(text: str) -> tuple[str, ...]:
    """The keys of a comma list, each once. Raises ValueError."""
    keys = text.split(",")
    for key in keys:
        if not is_key(key):
            raise ValueError(f"has {quoted(key)} as a key; a key {KEY_RULE}")
    if len(set(keys)) < len(keys):
        raise ValueError("must name each key once")
    if len(keys) > MAX_TAGS:
        raise ValueError(f"must be at most {MAX_TAGS} keys; there are {len(keys)}")
    return tuple(keys)


def parse_top(text: str) -> int:
    """How many groups are wanted. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_GROUPS)) and 1 <= int(text) <= MOST_GROUPS):
        raise ValueError(f"must be a whole number from 1 to {MOST_GROUPS}")
    return int(text)


def hold_without_tags(filters: Iterable[TagFilter]) -> bool:
    """Whether samples without tags meet all these filters."""
    return all(condition.negated for condition in filters)


def group_series(series: Iterable[Series], keys: Sequence[str]) -> list[TagGroup]:
    """The groups of these series by the values of the keys, in the order of the values, None first.

    Without keys all series are one group; without series there is none.
    """
    groups: dict[tuple[str | None, ...], list[int]] = {}
    for one in series:
        tags = parse_tags(one.tags or None)
        groups.setdefault(tuple([tags.get(key) for key in keys]), []).append(one.id)
    lacking = any(None in values for values in groups)
    ordered = sorted(groups, key=_none_first if lacking else None)
    return [TagGroup(values, tuple(groups[values])) for values in ordered]


def _none_first(values: Sequence[str | None]) -> list[tuple[bool, str]]:
    return [(value is not None, value or "") for value in values]


def _filter(text: str) -> TagFilter:
    negated = text.startswith(_NOT)
    key, colon, pattern = text.removeprefix(_NOT).partition(":")
    if not colon:
        raise ValueError(f"has {quoted(text)}; a condition is key:value, such as env:prod, host:web-* or !canary:*")
    if not is_key(key):
        raise ValueError(f"has the key {quoted(key)}; a key {KEY_RULE}")
    if not is_value(pattern):
        raise ValueError(f"has the value {quoted(pattern)} of {key!r}; a value {VALUE_RULE}")
    # Two stars beside each other say no more than one does.
    while ANYTHING * 2 in pattern:
        pattern = pattern.replace(ANYTHING * 2, ANYTHING)
    return TagFilter(key, pattern, negated)
