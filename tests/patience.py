"""How long tests wait for an event before they fail.

No test is quicker because of it: each goes on once the event is there. So the time is one that no busy machine needs.
"""

import asyncio
from typing import Final

PATIENCE: Final = 150
"""Seconds. faulthandler_timeout in pyproject.toml ends the whole process later than that."""


async def a_moment() -> None:
    """Between two questions of one loop. Whoever is asked, and other tests, have the CPU meanwhile."""
    await asyncio.sleep(0.02)
