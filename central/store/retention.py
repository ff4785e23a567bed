"""What retention needs from a store: a row that is changed by compare-and-swap, a log, and removal in small pieces.

Every store passes tests/central/retention_contract.py. Times are whole UTC seconds; 0 stands for "never".
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

Action = Literal["hide", "restore", "drop"]
LINE_MOVES: Final[tuple[Action, ...]] = ("hide", "restore")


class Move(NamedTuple):
    """A move of the line: when it happened, and where the line is since then."""

    at: int
    line: int


class LogEntry(NamedTuple):
    """An entry of the log: what was done and by whom; for a drop, how many rows and pieces were removed."""

    at: int
    action: Action
    line: int
    actor: str
    rows: int = 0
    parts: int = 0


class State(NamedTuple):
    """The state of retention. ``moves`` are the line's moves from the log, oldest first; ``replace`` ignores them."""

    version: int = 0
    line: int = 0
    """Queries do not see points before this time."""
    dropped: int = 0
    """Points before this time are removed, or being removed. They cannot be shown again."""
    held_until: int = 0
    """Until this time, only a person moves the line."""
    last_run: int = 0
    lease_owner: str = ""
    lease_until: int = 0
    moves: tuple[Move, ...] = ()


class Piece(NamedTuple):
    """What one call of ``drop`` removed: how many rows, and from which table or partition."""

    rows: int
    what: str


class RetentionStore(Protocol):
    """Every method may raise StoreUnavailable or StoreError. All may run while groups are committed."""

    async def line(self) -> int:
        """Where the line is. This call is cheap."""

    async def state(self) -> State:
        """The row and the moves of the line, from one snapshot."""

    async def replace(self, old: State, new: State, entries: Sequence[LogEntry] = ()) -> bool:
        """Write ``new`` and the log entries in one durable transaction, if the row still has ``old.version``.

        Returns False and writes nothing if another process wrote first. The new version is ``old.version + 1``.
        """

    async def log(self, limit: int) -> list[LogEntry]:
        """The newest entries, newest first."""

    async def drop(self, before: int) -> Piece | None:
        """Remove one piece of the raw points and rollups older than ``before``. None if nothing is left.

        One piece delays a commit only by milliseconds. ``before`` is the start of a day at least 8 days ago, so no new
        point can arrive in a piece that is removed.
        """
