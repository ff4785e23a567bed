"""The counts of the HTTP edge: plain numbers, read at each scrape."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from central.histogram import SECONDS, Histogram
from protocol.item import ITEM_CODES


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """Counts since the start. Each part of the edge adds to its own counter."""

    requests: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Answers, by route and status."""
    seconds: defaultdict[str, Histogram] = field(default_factory=lambda: defaultdict(lambda: Histogram(SECONDS)))
    """Seconds from a request's head to its answer, by route."""
    rejected: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(ITEM_CODES, 0)))
    """Items that were not accepted, by error code. Every code exists from the start."""
    unreadable: Counter[str] = field(default_factory=Counter)
    """Requests that were not valid HTTP, by reason."""
    busy: Counter[str] = field(default_factory=Counter)
    """Requests that were refused because too many of a kind were running, by that kind."""
    handshakes: Counter[str] = field(default_factory=Counter)
    """TLS handshakes that failed, by reason."""
