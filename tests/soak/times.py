"""When what was away, and how long requests took: which answers other than 201 are excused, and which are not. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

GRACE_SECONDS = 3.0
"""A process asks for what was away once a second, for two at most: its outage ends so long after the fault."""
NEW_KEY = "the key cannot be checked now; try again"
"""What a process says of a key that it never saw, while the database is away."""


class Attempt(NamedTuple):
    """One single POST and what came of it. Times are seconds of one clock; ``status`` 0 is no answer."""

    begun: float
    ended: float
    central: str
    status: int
    said: str
    """The answer's message, or what went wrong."""


class Outage(NamedTuple):
    """Something was away, or is (``until`` infinite)."""

    what: str
    since: float
    until: float

    def touches(self, begun: float, ended: float) -> bool:
        """Whether it was away at some moment of this time, or at most GRACE_SECONDS before it."""
        return self.since < ended and begun < self.until + GRACE_SECONDS


@dataclass
class Times:
    """Single POSTs and outages of one run."""

    outages: list[Outage] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    """How long those took that got 201, while their process ran and database or Redis was up."""
    failed: list[Attempt] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    longest_refusal: float = 0.0
    """Seconds of the longest stretch in which no single POST got 201 and some got 503."""
    longest_pause: float = 0.0
    """Seconds of the longest time in which no client's write got 201."""
    recent_pause: float = 0.0
    """The longest such time since somebody set this to 0."""
    wrong_ready: list[tuple[str, float]] = field(default_factory=list)
    """What processes said of being ready between two 503s, with no 201 between them, and seconds till the second.

    All three belong to one state of the faults: a process may be ready until the next one strikes.
    """
    _refused_since: float | None = None
    _wrote: float | None = None
    _refused_by: dict[str, float] = field(default_factory=dict)
    _ready: dict[str, tuple[float, str]] = field(default_factory=dict)
    _steady_since: float = 0.0

    def wrote(self, at: float) -> None:
        """Some write got 201."""
        pause = at - (at if self._wrote is None else self._wrote)
        self.longest_pause, self.recent_pause = max(self.longest_pause, pause), max(self.recent_pause, pause)
        self._wrote = at

    def rest(self) -> None:
        """Nobody writes for a while."""
        self._wrote = None

    def change(self) -> None:
        """A fault strikes or ends, from now until ``steady``."""
        self._steady_since = inf
        self._refused_by.clear()
        self._ready.clear()

    def steady(self, at: float) -> None:
        """The fault has struck or ended."""
        self._steady_since = at

    def ready(self, central: str, begun: float, ended: float, said: str) -> None:
        """A process was asked whether it is ready, and said that writes can be acknowledged."""
        if begun > self._refused_by.get(central, inf):
            self._ready.setdefault(central, (ended, said))

    def note(self, attempt: Attempt) -> None:
        """Count a single POST; they come in the order of their ends."""
        self.statuses[attempt.status] += 1
        self._note_readiness(attempt)
        if attempt.status == 201:
            self._refused_since = None
            if not self._excused(attempt):
                self.seconds.append(attempt.ended - attempt.begun)
            return
        self.failed.append(attempt)
        if attempt.status == 503:
            self._refused_since = attempt.begun if self._refused_since is None else self._refused_since
            self.longest_refusal = max(self.longest_refusal, attempt.ended - self._refused_since)

    def _note_readiness(self, attempt: Attempt) -> None:
        central = attempt.central
        if attempt.begun < self._steady_since:
            return
        if attempt.status == 201:
            self._refused_by.pop(central, None)
            self._ready.pop(central, None)
        elif attempt.status == 503 and attempt.said != NEW_KEY:
            at, said = self._ready.get(central, (inf, ""))
            if at < attempt.begun:
                self.wrong_ready.append((f"{central} said {said}", attempt.ended - at))
            self._refused_by.setdefault(central, attempt.ended)

    def unexcused(self) -> list[Attempt]:
        """Single POSTs that got no 201 while either of the two was up and so was the process that they went to."""
        return [attempt for attempt in self.failed if not self._excused(attempt)]

    def percentile(self, part: float) -> float:
        """Seconds within which this part of those with 201 were answered; 0 without any."""
        ranked = sorted(self.seconds)
        return ranked[min(len(ranked) - 1, int(len(ranked) * part))] if ranked else 0.0

    def _excused(self, attempt: Attempt) -> bool:
        return (
            self._away(attempt.central, attempt)
            or (self._away("database", attempt) and self._away("redis", attempt))
            or (attempt.said == NEW_KEY and self._new_without_database(attempt))
        )

    def _away(self, what: str, attempt: Attempt) -> bool:
        return any(outage.what == what and outage.touches(attempt.begun, attempt.ended) for outage in self.outages)

    def _new_without_database(self, attempt: Attempt) -> bool:
        """Whether the process started during an outage of the database, or right before one."""
        return any(
            outage.what == "database"
            and outage.touches(attempt.begun, attempt.ended)
            and any(own.what == attempt.central and own.touches(outage.since, outage.until) for own in self.outages)
            for outage in self.outages
        )
