"""Sizes that both ends of the wire agree on (PRD 3.1, 4.3; DESIGN, "Batches" and "Numbers and times")."""

from typing import Final

MAX_NAME_LENGTH: Final = 255
MAX_BATCH_ITEMS: Final = 1_000

MAX_BODY_BYTES: Final = 1 << 20
"""Largest request body as sent, compressed or not."""
MAX_EXPANDED_BYTES: Final = 8 << 20
"""Largest request body after decompression."""

MAX_AGE_SECONDS: Final = 7 * 86_400
"""How far back ``recorded_at`` may lie."""
CLOCK_SKEW_SECONDS: Final = 5
"""How far ahead ``recorded_at`` may lie, unless central's settings say otherwise."""
MAX_CLOCK_SKEW_SECONDS: Final = 3_600
"""The largest value of that setting."""
SKEW_HEADER: Final = "Metrics-Clock-Skew"
"""In an answer: how far ahead ``recorded_at`` may lie at this central, in whole seconds."""
ACCEPTS_HEADER: Final = "Metrics-Accepts"
"""In each answer: the optional fields of an item that this central knows, as words with commas between."""
HISTOGRAMS: Final = "histograms"
"""The word for an item's field ``histogram``."""
TAGS: Final = "tags"
"""The word for an item's field ``tags``."""
ID_DAYS: Final = 8
"""How long central remembers an Idempotency-Key. It is longer than MAX_AGE_SECONDS, so that no retry outlives it."""
MAX_IDEMPOTENCY_KEY: Final = 255
"""Longest Idempotency-Key, in printable ASCII characters."""
