"""Attempts that may fail without ending the agent. Each failure is counted by its job and logged with its cause."""

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Literal, Protocol, get_args

Job = Literal["flush", "persist", "gauges", "replay", "unreadable", "unix_socket", "status", "forward"]


class Tell(Protocol):
    """Called once for each change of state, with a short event name and a sentence."""

    def __call__(self, event: str, message: str) -> None: ...


class Attempts:
    """``failures`` counts since the start. ``failing`` has the last error of each job whose last attempt failed."""

    def __init__(self, tell: Tell) -> None:
        self.failures: Final = Counter[str](dict.fromkeys(get_args(Job), 0))
        self.failing: Final[dict[str, str]] = {}
        self._tell = tell

    @contextmanager
    def guard(self, job: Job) -> Iterator[None]:
        """Run one attempt. An Exception ends here, because another attempt follows. A cancellation passes on.

        The log gets a line when a job begins to fail, and one when it works again.
        """
        try:
            yield
        except Exception as error:
            self.failures[job] += 1
            text = cause(error)
            if job not in self.failing:
                self._tell("attempt_failed", f"{job}: {text}; the agent goes on and tries again")
            self.failing[job] = text
        else:
            if self.failing.pop(job, None) is not None:
                self._tell("attempt_works_again", f"{job} works again")


def cause(error: Exception) -> str:
    """The error in one line, with the place in our code where it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{place}" if str(error) else f"{type(error).__name__}{place}"
