"""What every log line of ours is put through: no API key, no text that starts a line or drives a terminal."""

import re
from typing import Final

HIDDEN: Final = "***"
_KEY: Final = re.compile(r"(gf_[a-z0-9]{12}_)[A-Za-z0-9_-]+")


def hide_keys(line: str) -> str:
    """The line with each API key cut to its public id."""
    return _KEY.sub(rf"\1{HIDDEN}", line)


def one_line(text: str) -> str:
    """The text with all that is not printable escaped as Python's ``repr`` escapes it.

    That is what starts a line, drives a terminal, turns the direction of what follows (bidi), or shows as nothing.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
