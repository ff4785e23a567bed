"""Tags on StatsD lines: where applications write them, and what becomes of them.

    name:1|c|#env:prod,host:web-1      DogStatsD
    name,env=prod:1|c                  InfluxDB
    name;env=prod:1|c                  Graphite
    name[env=prod]:1|c                 SignalFx

Inside the agent a series is one text, its *key*: the name, and behind ``#``, which no name can hold, its tags.
"""

import re
from typing import Final, Literal, NamedTuple

from protocol.names import clean_name, is_name
from protocol.tags import MAX_TAGS, Cleaned, TagNote, canonical, clean_tags, parse_tags

TagMode = Literal["keep", "drop", "append"]
Pair = tuple[str, str]
"""Key and value of a tag as sent."""

MARK: Final = "#"
_IN_NAME: Final = re.compile(r"([^,;\[\]]+)(?:([,;])(.+)|\[(.+)\]([^,;\[\]]*))", re.DOTALL)
_PAIR: Final = re.compile(r"([^=]+)=([^=]*)", re.DOTALL)


class Suffix(NamedTuple):
    """What the tags of a line add to its name, and what is worth noting of them."""

    text: str = ""
    notes: tuple[TagNote | Literal["tags_dropped"], ...] = ()


class TagRules(NamedTuple):
    """``mode`` is what happens to an application's tags. ``host`` are the tags that the agent adds to everything."""

    mode: TagMode = "keep"
    host: tuple[Pair, ...] = ()

    def suffix(self, pairs: tuple[Pair, ...]) -> Suffix:
        """What these tags of a line, in the order sent, and the host's add to the name."""
        if self.mode == "keep":
            kept = self._with_host(clean_tags(pairs))
            return Suffix(MARK + kept.tags if kept.tags else "", kept.notes)
        host = canonical(dict(self.host))
        marked = MARK + host if host else ""
        if self.mode == "append":
            return Suffix(_appended(pairs) + marked)
        return Suffix(marked, ("tags_dropped",) if pairs else ())

    def _with_host(self, cleaned: Cleaned) -> Cleaned:
        """The host's tags added. A key that the line has is the line's."""
        if not self.host:
            return cleaned
        tags = parse_tags(cleaned.tags)
        new = [(key, value) for key, value in self.host if key not in tags]
        room = MAX_TAGS - len(tags)
        over: list[TagNote] = ["tags_over_cap"] * max(len(new) - room, 0)
        return Cleaned(canonical(tags | dict(new[:room])), (*cleaned.notes, *over))


def split_key(key: str) -> tuple[str, str | None]:
    """The name and the tags of a series' key; no tags are None."""
    name, mark, tags = key.partition(MARK)
    return name, tags if mark else None


def is_series(key: str) -> bool:
    """Whether a text is the key of a series."""
    name, tags = split_key(key)
    if tags is None:
        return is_name(name)
    found = parse_tags(tags)
    return is_name(name) and canonical(found) == tags and clean_tags(found.items()) == Cleaned(tags)


def tags_of_field(field: bytes) -> list[Pair]:
    """The tags of a field ``#key:value,key``, in order; a tag without a colon has an empty value."""
    text = field.removeprefix(b"#").decode("utf-8", "surrogateescape")
    pairs = (tag.partition(":") for tag in text.split(",") if tag)
    return [(key, value) for key, _, value in pairs]


def tags_in_name(text: str) -> tuple[str, tuple[Pair, ...]]:
    """A name as sent without the tags that are written into it, and those tags.

    Where the text is not wholly in one of the three forms it is a name that has foreign characters.
    """
    match = _IN_NAME.fullmatch(text)
    if match is None:
        return text, ()
    name, separator, listed, bracketed, rest = match.groups()
    found = [_PAIR.fullmatch(pair) for pair in (listed or bracketed).split(separator or ",")]
    pairs = tuple((pair[1], pair[2]) for pair in found if pair is not None)
    return (name + (rest or ""), pairs) if len(pairs) == len(found) else (text, ())


def _appended(pairs: tuple[Pair, ...]) -> str:
    """``.key.value`` of each tag, cleaned, sorted and once; a tag without a value is its key alone."""
    parts = {".".join(clean_name(part) for part in pair if part) for pair in pairs}
    return "".join(f".{part}" for part in sorted(parts) if part)
