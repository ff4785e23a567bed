"""Names that this host uses and that belong to another StatsD type. Central lists them in its answers.

Nothing is lost: central stores those samples under a longer name. But a person who looks for the short name finds
nothing, so the log, the status and the health show each such name.
"""

from collections.abc import Callable, Iterator
from typing import Final

from protocol.names import is_name
from protocol.statsd_types import MAX_RENAMED

MAX_CLASHES: Final = 100
"""Names that are remembered. More names do not help: the cause is the same."""


class Clashes:
    """``names``: the longer names under which samples were stored since the start. Calls ``tell`` once for each."""

    def __init__(self, tell: Callable[[str, str], None]) -> None:
        self.names: Final[list[str]] = []
        self._tell = tell

    def note(self, header: str | None) -> None:
        """Take over the names in an answer's Metrics-Renamed header. A malformed header is ignored."""
        for stored_as in _names(header or ""):
            if stored_as in self.names or len(self.names) >= MAX_CLASHES:
                continue
            self.names.append(stored_as)
            self._tell("name_clash", f"{sentence(stored_as)}; nothing is lost, but give each type a name of its own")


def sentence(stored_as: str) -> str:
    """A sentence that says what happened to a name."""
    name, _, sent_as = stored_as.rpartition(".")
    return f"{name} belongs to another type, so its {sent_as}s are stored as {stored_as}"


def _names(header: str) -> Iterator[str]:
    for text in header.split(",")[:MAX_RENAMED]:
        if is_name(text.strip()) and "." in text:
            yield text.strip()
