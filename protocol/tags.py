"""Tags: their rules, and the one text that stands for a set of them.

    env:prod,host:web-1        sorted by key; a key ends at its first colon; a value may be empty

A series is a name and its tags. The order in which somebody sent the tags never matters, so the same tags always have
the same text, and no tags have none. Central refuses tags that break a rule; the agent cleans them and counts that.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

MAX_TAGS: Final = 20
MAX_KEY_LENGTH: Final = 64
MAX_VALUE_LENGTH: Final = 200
OVERFLOW: Final = "overflow:true"
"""The series of a name that takes the samples of all series for which there is no room."""
KEY_RULE: Final = (
    f"must be 1 to {MAX_KEY_LENGTH} characters of A-Z, a-z, 0-9, '_', '.', '-' and '/', the first a letter or '_'"
)
VALUE_RULE: Final = f"must be at most {MAX_VALUE_LENGTH} characters without control characters, ',', '|', '=' and ';'"

TagNote = Literal["tag_cleaned", "tag_repeated", "tags_over_cap"]
"""What the agent put right: a key or a value, a key given twice, and more than MAX_TAGS tags."""

KEY_PATTERN: Final = rf"^[A-Za-z_][A-Za-z0-9_./-]{{0,{MAX_KEY_LENGTH - 1}}}$"
_KEY: Final = re.compile(KEY_PATTERN.strip("^$")).fullmatch
_FOREIGN_IN_KEY: Final = re.compile(r"\A[^A-Za-z_]|[^A-Za-z0-9_./-]")
_PLAIN_VALUE: Final = re.compile(r"[ -+\--:<>-{}~]*").fullmatch
"""A value in ASCII that keeps the rule, but for its length."""
_SEPARATORS: Final = frozenset(",|=;")
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that show nothing, or change how others are shown."""


class Cleaned(NamedTuple):
    """Tags as central accepts them, None for none, and what had to be put right, once per tag."""

    tags: str | None
    notes: tuple[TagNote, ...] = ()


def canonical(tags: Mapping[str, str]) -> str | None:
    """The text of tags that keep the rules; None for no tags."""
    return ",".join([f"{key}:{tags[key]}" for key in sorted(tags)]) or None


def parse_tags(text: str | None) -> dict[str, str]:
    """The tags of a canonical text, in its order."""
    if text is None:
        return {}
    pairs = (pair.partition(":") for pair in text.split(","))
    return {key: value for key, _, value in pairs}


def check_tags(raw: Any) -> str | None:
    """The text of tags as decoded JSON, None for no tags. Raises ValueError that says what would be right."""
    if type(raw) is not dict:
        raise ValueError('must be a JSON object of texts, such as {"env": "prod"}')
    if len(raw) > MAX_TAGS:
        raise ValueError(f"must be at most {MAX_TAGS}; there are {len(raw)}")
    for key, value in raw.items():
        if not _KEY(key):
            raise ValueError(f"has the key {quoted(key)}; a key {KEY_RULE}")
        if type(value) is not str:
            raise ValueError(f'has a value of {key!r} that is no text; write numbers as texts, such as "200"')
        if not is_value(value):
            raise ValueError(f"has the value {quoted(value)} of {key!r}; a value {VALUE_RULE}")
    return canonical(raw)


def clean_tags(pairs: Iterable[tuple[str, str]]) -> Cleaned:
    """Tags as an application sent them, in its order: the first of a key counts, and the first MAX_TAGS keys.

    A foreign character becomes ``_`` (a byte that is no UTF-8, decoded with surrogateescape, too). What is too long is
    cut. A tag without a key is left out.
    """
    tags: dict[str, str] = {}
    notes: list[TagNote] = []
    for sent_key, sent_value in pairs:
        key, value = _clean_key(sent_key), _clean_value(sent_value)
        if (key, value) != (sent_key, sent_value):
            notes.append("tag_cleaned")
        if key in tags:
            notes.append("tag_repeated")
        elif len(tags) == MAX_TAGS:
            notes.append("tags_over_cap")
        elif key:
            tags[key] = value
        elif not sent_key:
            notes.append("tag_cleaned")
    return Cleaned(canonical(tags), tuple(notes))


def is_key(text: str) -> bool:
    """Whether ``text`` can be the key of a tag."""
    return _KEY(text) is not None


def is_value(text: str) -> bool:
    """Whether ``text`` can be the value of a tag."""
    if len(text) > MAX_VALUE_LENGTH:
        return False
    return _PLAIN_VALUE(text) is not None or not any(_foreign(text))


def quoted(text: str) -> str:
    """A text for an error message: short, and nothing in it that a terminal would obey."""
    return ascii(text if len(text) <= MAX_KEY_LENGTH else text[:MAX_KEY_LENGTH] + "...")


def _clean_key(text: str) -> str:
    if _KEY(text):
        return text
    return _FOREIGN_IN_KEY.sub("_", text[:MAX_KEY_LENGTH])


def _clean_value(text: str) -> str:
    if is_value(text):
        return text
    text = text[:MAX_VALUE_LENGTH]
    return "".join(["_" if foreign else char for char, foreign in zip(text, _foreign(text), strict=True)])


def _foreign(text: str) -> Iterator[bool]:
    """Whether each character has no place in a value."""
    return (char in _SEPARATORS or unicodedata.category(char) in _UNSEEN for char in text)
