"""What has grown lately: in the open window, and in the one before."""

from collections.abc import Mapping


class Recent:
    """Compares totals that only grow with what they were."""

    def __init__(self) -> None:
        self._before: Mapping[str, int] = {}
        self._older: Mapping[str, int] = {}

    def turn(self, totals: Mapping[str, int]) -> None:
        """Note the totals at a window's end."""
        self._older, self._before = self._before, dict(totals)

    def grown(self, totals: Mapping[str, int]) -> dict[str, int]:
        """By how much each has grown since the last window began; those that have not are left out."""
        return {
            name: total - self._older.get(name, 0) for name, total in totals.items() if total > self._older.get(name, 0)
        }
