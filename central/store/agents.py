"""What a store keeps of agents: the latest books of each. It is one of the protocols of base.Store."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class AgentRow(NamedTuple):
    """The latest books of an agent. ``id`` is 32 hex digits, ``run`` 16; ``key_id`` is the row of its API key.

    ``seen_at`` is when they came, in UTC seconds. ``missing`` is how many points the agent was told are stored, and no
    process acknowledged. ``books`` is the text of protocol.books.
    """

    id: str
    run: str
    key_id: int
    seen_at: int
    missing: int
    books: str


class AgentStore(Protocol):
    """The agents. Every method may raise StoreUnavailable."""

    async def note(self, rows: Sequence[AgentRow], forget_before: int, most: int) -> None:
        """Store these rows where they are newer. Remove those before ``forget_before`` and the oldest over ``most``.

        ``missing`` of one run never gets smaller.
        """

    async def seen_since(self, moment: int) -> list[AgentRow]:
        """The rows that came at ``moment`` or later."""
