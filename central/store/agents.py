"""What a store keeps of agents: the latest report of each. It is one of the protocols of base.Store."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class AgentRow(NamedTuple):
    """The latest report of an agent. ``id`` is 32 hex digits, ``run`` 16; ``key_id`` is the row of its API key.

    ``seen_at`` is when it came, in UTC seconds. ``missing`` is how many points the agent counts as acknowledged,
    and no process acknowledged. ``report`` is the text of protocol.report.
    The stores keep it in a column ``books``: during an upgrade, processes of the old version read and write that name.
    """

    id: str
    run: str
    key_id: int
    seen_at: int
    missing: int
    report: str


class AgentStore(Protocol):
    """The agents. Every method may raise StoreUnavailable."""

    async def note(self, rows: Sequence[AgentRow], forget_before: int, most: int) -> None:
        """Store these rows where they are newer. Remove those before ``forget_before`` and the oldest over ``most``.

        ``missing`` of one run never gets smaller.
        """

    async def seen_since(self, moment: int) -> list[AgentRow]:
        """The rows that came at ``moment`` or later."""
