"""Regular expressions of users, by RE2: no expression and no text take it a time that explodes, as they do with ``re``.

It knows no look-around and no back reference in the expression.
"""

from itertools import takewhile
from typing import Any, Final, Protocol

import re2

from protocol.limits import MAX_NAME_LENGTH
from protocol.tags import quoted

MOST_LENGTH: Final = 4_000
"""How long an expression may be."""
_PLAIN: Final = 0x7F
"""Bytes below are characters of ASCII."""
_MEMORY: Final = 1 << 20
"""How many bytes an expression may take."""


class Regex(Protocol):
    """A compiled expression, with the methods of the standard library's."""

    def match(self, text: str) -> Any:
        """What it matches at the beginning of the text; None if it does not."""

    def search(self, text: str) -> Any:
        """What it matches anywhere in the text; None if it does not."""

    def sub(self, replacement: str, text: str) -> str:
        """The text with the replacement in place of each match."""

    def possiblematchrange(self, length: int) -> tuple[bytes, bytes]:
        """Between which bytes, both cut to the length, the texts are that it matches at their beginning."""


def prefix_of(regex: Regex) -> str:
    """What all texts begin with that the expression matches at their beginning; only characters of ASCII."""
    try:
        first, last = regex.possiblematchrange(MAX_NAME_LENGTH)
    except re2.error:
        return ""
    same = takewhile(lambda pair: pair[0] == pair[1] < _PLAIN, zip(first, last, strict=False))
    return bytes(byte for byte, _ in same).decode()


def compile_regex(text: str) -> Regex:
    """Compile an expression. Raises ValueError whose text follows the name of what holds the expression."""
    if len(text) > MOST_LENGTH:
        raise ValueError(f"has a regular expression that is longer than {MOST_LENGTH:,} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MEMORY
    try:
        compiled: Regex = re2.compile(text, options)
    except UnicodeEncodeError:
        raise ValueError(f"has the regular expression {quoted(text)}, which is no UTF-8") from None
    except re2.error as error:
        why = error.args[0].decode(errors="replace")
        raise ValueError(f"has the regular expression {quoted(text)}, which is none: {why}") from None
    return compiled
