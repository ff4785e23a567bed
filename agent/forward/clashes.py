"""Names that this host uses and that belong to another of StatsD's types, as central says in its answers.

Nothing is lost: those samples are stored under a longer name. But who looks for them under their own name finds none,
so the log, the status and the health say it by name.
"""

from collections.abc import Callable, Iterator
from typing import Final

from protocol.names import is_name
from protocol.statsd_types import MAX_RENAMED

MAX_CLASHES: Final = 100
"""Names kept; a host that has more has one thing to put right."""


class Clashes:
    """``names`` are those under which samples were stored instead of their own, since the start. ``tell`` hears of each
    once."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self.names: Final[list[str]] = []
        self._tell = tell

    def note(self, header: str | None) -> None:
        """Take over what an answer's Metrics-Renamed says; a stranger's header is no reason to stop."""
        for stored_as in _names(header or ""):
            if stored_as in self.names or len(self.names) >= MAX_CLASHES:
                continue
            self.names.append(stored_as)
            self._tell("name_clash", f"{sentence(stored_as)}; nothing is lost, but give each type a name of its own")


def sentence(stored_as: str) -> str:
    """What happened to a name, in words."""
    name, _, sent_as = stored_as.rpartition(".")
    return f"{name} belongs to another type, so its {sent_as}s are stored as {stored_as}"


def _names(header: str) -> Iterator[str]:
    for text in header.split(",")[:MAX_RENAMED]:
        if is_name(text.strip()) and "." in text:
            yield text.strip()
