"""The aggregate answer as CSV (RFC 4180): when a client wants it. Pure.

A name needs no quotes: it has no comma, quote or line end. It is written as it is, also where a spreadsheet would read
it as a formula ("-a1"): without brackets, blanks, "=", "!" and "|" such a formula can call and fetch nothing, and a
changed name would no longer be the name.
"""

from collections.abc import Sequence
from typing import Final

CSV: Final = "text/csv; charset=utf-8; header=present"
FORMATS: Final = ("json", "csv")


def prefers_csv(accept: str) -> bool:
    """Whether an Accept header gives text/csv a higher quality than JSON, which is the default (RFC 9110, 12.5.1)."""
    return _quality(accept, "text/csv") > _quality(accept, "application/json")


def _quality(accept: str, media_type: str) -> float:
    """The quality of a media type, by the range that names it most closely; 0 where none does."""
    ranges = {f"{media_type.partition('/')[0]}/*": 1, "*/*": 0, media_type: 2}
    best, quality = -1, 0.0
    for entry in accept.lower().split(","):
        range_, *parameters = (field.strip() for field in entry.split(";"))
        rank = ranges.get(range_, -1)
        if rank > best:
            best, quality = rank, weight_of(parameters)
    return quality


def weight_of(parameters: Sequence[str]) -> float:
    """The weight among a range's parameters; 1 without one, 0 for one that is none."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
