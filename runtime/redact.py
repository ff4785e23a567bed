"""Cleans every log line: it shows no API key, and no character that starts a new line or controls a terminal."""

import re
from typing import Final

HIDDEN: Final = "***"
_KEY: Final = re.compile(r"(gf_[a-z0-9]{12}_)[A-Za-z0-9_-]+")


def hide_keys(line: str) -> str:
    """The line with each API key cut to its public id."""
    return _KEY.sub(rf"\1{HIDDEN}", line)


def one_line(text: str) -> str:
    """The text with every character that is not printable escaped, as Python's ``repr`` does.

    Such characters start a line, control a terminal, change the direction of the text (bidi), or are invisible.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
