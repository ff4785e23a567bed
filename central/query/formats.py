"""Whether a client wants the aggregate answer as CSV (RFC 4180) or as JSON, and how CSV has a tag's value. Pure.

In CSV, names are written as they are. They need no quotes, because they have no comma, quote or line end. A spreadsheet
may read a name such as "-a1" as a formula. That is harmless: a name has no brackets, blanks, "=", "!" or "|", so the
formula can call and fetch nothing. Escaping would change the name. A tag's value may have brackets and "!", and one
that could be such a formula gets an apostrophe in front.
"""

import re
from collections.abc import Sequence
from typing import Final

CSV: Final = "text/csv; charset=utf-8; header=present"
FORMATS: Final = ("json", "csv")
_FORMULA: Final = re.compile(r"[-+@=\uff0b\uff0d\uff20\uff1d].*[(!\uff08\uff01]", re.DOTALL).match
"""What a spreadsheet may run: it begins as a formula, in wide signs too, and calls or links something."""


def csv_field(value: str | None) -> str:
    """A tag's value as a field: nothing for no such tag, ``""`` for an empty value, quoted where it has quotes."""
    if value is None:
        return ""
    if _FORMULA(value):
        value = f"'{value}"
    return value if value and '"' not in value else f'"{value.replace(chr(34), chr(34) * 2)}"'


def prefers_csv(accept: str) -> bool:
    """Whether an Accept header gives text/csv a higher quality than JSON, which is the default (RFC 9110, 12.5.1)."""
    return _quality(accept, "text/csv") > _quality(accept, "application/json")


def _quality(accept: str, media_type: str) -> float:
    """The quality of a media type, from the most specific range that includes it; 0 if none does."""
    ranges = {f"{media_type.partition('/')[0]}/*": 1, "*/*": 0, media_type: 2}
    best, quality = -1, 0.0
    for entry in accept.lower().split(","):
        range_, *parameters = (field.strip() for field in entry.split(";"))
        rank = ranges.get(range_, -1)
        if rank > best:
            best, quality = rank, weight_of(parameters)
    return quality


def weight_of(parameters: Sequence[str]) -> float:
    """The weight ``q`` among a range's parameters; 1 if there is none, 0 if it is not a number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(max(float(value), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0
