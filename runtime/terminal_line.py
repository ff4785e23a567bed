"""A log line for a person at a terminal; both programs write it, so that they read alike side by side.

    14:03:07 warning agent   hold                the key is refused
    14:03:09 info    central serving             host=127.0.0.1 port=8080

Pipes, files and the journal get JSON instead.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from runtime.redact import one_line

EVENT_WIDTH: Final = 22
_COLOURS: Final = {"info": "32", "warning": "33", "error": "1;31", "critical": "1;31"}
_BOLD, _DIM = "1", "2"


def wants_colour(environ: Mapping[str, str]) -> bool:
    """Whether a terminal is to show colours: not with NO_COLOR, nor where it knows none."""
    return not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


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
