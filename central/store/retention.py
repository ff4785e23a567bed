"""What retention asks of a store: one row that is changed by comparison, a log, and old data in small pieces.

Every store passes tests/central/retention_contract.py. Times are whole UTC seconds; 0 stands for "never".
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, Protocol

Action = Literal["hide", "restore", "drop"]
LINE_MOVES: Final[tuple[Action, ...]] = ("hide", "restore")


class Move(NamedTuple):
    """A move of the line: when it happened, and where the line was put."""

    at: int
    line: int


class LogEntry(NamedTuple):
    """A line of the log: what was done, by whom, and what a drop removed (rows, and partitions or slices of them)."""

    at: int
    action: Action
    line: int
    actor: str
    rows: int = 0
    parts: int = 0


class State(NamedTuple):
    """Where retention stands. ``moves`` are the log's moves of the line, oldest first, and are never written."""

    version: int = 0
    line: int = 0
    """Points before it are hidden from queries."""
    dropped: int = 0
    """Points before it are gone or going, and cannot be shown again."""
    held_until: int = 0
    """Until then only a person moves the line."""
    last_run: int = 0
    lease_owner: str = ""
    lease_until: int = 0
    moves: tuple[Move, ...] = ()


class Piece(NamedTuple):
    """What one call of ``drop`` removed."""

    rows: int
    what: str


class RetentionStore(Protocol):
    """Every method may raise StoreUnavailable or StoreError; none needs the ingest to stop."""

    async def line(self) -> int:
        """Where the line is; cheap."""

    async def state(self) -> State:
        """The row and the moves of the line, of one moment."""

    async def replace(self, old: State, new: State, entries: Sequence[LogEntry] = ()) -> bool:
        """Write ``new`` and the log entries in one durable transaction, if the row is still at ``old.version``.

        False, and nothing is written, if another process wrote first. The version written is ``old.version + 1``.
        """

    async def log(self, limit: int) -> list[LogEntry]:
        """The newest entries, newest first."""

    async def drop(self, before: int) -> Piece | None:
        """Remove one piece of what is older than ``before``, raw points and rollups alike; None when none is left.

        A piece holds up a commit for milliseconds. ``before`` is a day start and at least 8 days ago, so no new
        point can come where a piece is removed.
        """
