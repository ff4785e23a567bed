"""A log line for a person at a terminal; both programs write it, so that they read alike side by side.

    14:03:07 warning agent   hold                the key is refused
    14:03:09 info    central serving             host=127.0.0.1 port=8080

A line that is longer than the terminal goes on below, under the event:

    14:03:07 warning agent   hold                   the key is refused: no such key.
                               Batches wait on the disk until the key is right

Pipes, files and the journal get JSON instead.
"""

import os
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TextIO

from runtime.redact import one_line

EVENT_WIDTH: Final = 22
_INDENT: Final = 27
"""Where a line goes on: two columns to the right of where its event begins."""
_LEAST_COLUMNS: Final = 60
"""On a narrower terminal there is no room beside the indent."""
_COLOUR: Final = re.compile(r"\x1b\[[\d;]*m")
_COLOURS: Final = {"info": "32", "warning": "33", "error": "1;31", "critical": "1;31"}
_BOLD, _DIM = "1", "2"


def wants_colour(environ: Mapping[str, str]) -> bool:
    """Whether a terminal is to show colours: not with NO_COLOR, nor where it knows none."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def columns_of(stream: TextIO) -> int:
    """How many columns the terminal has now; 0 if ``stream`` is none, or if it does not say."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def folded(line: str, columns: int) -> str:
    """``line`` broken at blanks into lines of at most ``columns``. A longer word stays whole, so that you can copy it.

    Hide secrets before, because a secret may hold a blank.
    """
    if columns < _LEAST_COLUMNS:
        return line
    lines: list[str] = []
    room = 0
    for word in line.split(" "):
        width = len(_COLOUR.sub("", word))
        if lines and width < room:
            lines[-1] += f" {word}"
            room -= 1 + width
        else:
            indent = _INDENT if lines else 0
            lines.append(" " * indent + word)
            room = columns - indent - width
    return "\n".join(text.rstrip() for text in lines)


class TerminalLine:
    """Makes the lines of one program."""

    def __init__(self, program: str, *, colour: bool) -> None:
        self._program = program
        self._colour = colour

    def make(self, now: datetime, level: str, event: str, fields: Mapping[str, object]) -> str:
        """One line without its newline. ``now`` is shown as it is, so give local time.

        A field named ``message`` is shown as text without its name.
        """
        texts = [one_line(str(fields["message"]))] if "message" in fields else []
        texts += [f"{self._in(_DIM, f'{name}=')}{_shown(value)}" for name, value in fields.items() if name != "message"]
        return " ".join(
            [
                self._in(_DIM, now.strftime("%H:%M:%S")),
                self._in(_COLOURS.get(level, _BOLD), f"{level:<7}"),
                self._in(_DIM, f"{self._program:<7}"),
                self._in(_BOLD, f"{one_line(event):<{EVENT_WIDTH}}"),
                *texts,
            ]
        ).rstrip()

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._colour else text


def _shown(value: object) -> str:
    """A value on one line. Text with blanks in it, or none at all, is quoted; a list without values is a dash."""
    if isinstance(value, list | tuple):
        return ",".join(map(_shown, value)) or "-"
    if value is None or isinstance(value, bool):
        return str(value).lower()
    text = one_line(str(value))
    return f"'{text}'" if isinstance(value, str) and (" " in text or not text) else text
