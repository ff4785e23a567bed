"""How long tests wait for an event before they fail.

No test is quicker because of it: each goes on once the event is there. So the time is one that no busy machine needs.
"""

from typing import Final

PATIENCE: Final = 150
"""Seconds. faulthandler_timeout in pyproject.toml ends the whole process later than that."""
