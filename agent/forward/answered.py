"""How many items each process of the service has acknowledged to this run of the agent, for its report.

The service compares with its own count. An older service does not say which process answers.
"""

from protocol.report import MAX_PROCESSES, PROCESS


class Answered:
    """``points`` has the items by process, for the processes that answered last."""

    def __init__(self) -> None:
        self.points: dict[str, int] = {}

    def note(self, process: str | None, items: int) -> None:
        """Note an acknowledgement. ``process`` is the Metrics-Process header; a malformed one does not count."""
        if process is None or not PROCESS.fullmatch(process):
            return
        self.points[process] = self.points.pop(process, 0) + items
        if len(self.points) > MAX_PROCESSES:
            del self.points[next(iter(self.points))]
