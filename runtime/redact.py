"""What every log line of ours is put through: no API key, no text that starts a line or drives a terminal."""

import re
from typing import Final

HIDDEN: Final = "***"
_KEY: Final = re.compile(r"(gf_[a-z0-9]{12}_)[A-Za-z0-9_-]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def hide_keys(line: str) -> str:
    """The line with each API key cut to its public id."""
    return _KEY.sub(rf"\1{HIDDEN}", line)


def one_line(text: str) -> str:
    """The text with control characters written as Python writes them."""
    return _CONTROL.sub(lambda found: repr(found[0])[1:-1], text)
