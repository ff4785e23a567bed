"""The agent's books: where every sample went.

received + recovered = acknowledged + dropped + in window + in spool, at every scrape. A sample is
one value on a line; a rejected line is one. Counters are plain ints, read by whoever renders them.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

MAX_REASONS: Final = 100
OTHER_REASON: Final = "rejected_OTHER"
"""For error codes of the centre beyond as many: it has some twenty."""


@dataclass(slots=True)
class Ledger:
    """Sample counts since the start. Owned by the event loop; every stage adds its own facts."""

    received: int = 0
    recovered: int = 0
    acknowledged: int = 0
    in_window: int = 0
    in_spool: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    """Samples lost, by reason."""
    notes: Counter[str] = field(default_factory=Counter)
    """Things worth knowing that lose nothing: names cleaned, tags dropped, fields ignored."""

    def drop(self, reason: str, samples: int) -> None:
        """Count ``samples`` as lost for ``reason``. Reasons that a stranger makes up do not grow without bound."""
        if reason not in self.dropped and len(self.dropped) >= MAX_REASONS:
            reason = OTHER_REASON
        self.dropped[reason] += samples

    def reject(self, reason: str, lines: int) -> None:
        """Count lines as received, a sample each, and as lost at once."""
        self.received += lines
        self.drop(reason, lines)

    def balance(self) -> int:
        """0 when the books add up; else how many samples are unaccounted for."""
        gone = self.acknowledged + sum(self.dropped.values())
        return self.received + self.recovered - gone - self.in_window - self.in_spool
