"""In which format a client wants the aggregate answer, and how CSV (RFC 4180) has a tag's value. Pure.

In CSV, names are written as they are. They need no quotes, because they have no comma, quote or line end. A spreadsheet
may read a name such as "-a1" as a formula. That is harmless: a name has no brackets, blanks, "=", "!" or "|", so the
formula can call and fetch nothing. Escaping would change the name. A tag's value may have brackets and "!", and one
that could be such a formula gets an apostrophe in front.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, get_args

Format = Literal["json", "csv", "jsonl"]
FORMATS: Final = get_args(Format)
CSV: Final = "text/csv; charset=utf-8; header=present"
JSON_LINES: Final = "application/x-ndjson"
TYPES: Final[Mapping[Format, str]] = {"csv": CSV, "jsonl": JSON_LINES}
"""The Content-Type of each format but JSON."""
COMPLETE_HEADER: Final = "Metrics-Complete"
UNKNOWN_HEADER: Final = "Metrics-Unknown"
"""``false`` where an answer may lack acknowledged points."""
_ASKED_BY: Final[Mapping[Format, tuple[str, ...]]] = {
    "json": ("application/json",),
    "csv": ("text/csv",),
    "jsonl": (JSON_LINES, "application/jsonl", "application/x-jsonlines"),
}
_FORMULA: Final = re.compile(r"[-+@=\uff0b\uff0d\uff20\uff1d].*[(!\uff08\uff01]", re.DOTALL).match
"""What a spreadsheet may run: it begins as a formula, in wide signs too, and calls or links something."""


def csv_field(value: str | None) -> str:
    """A tag's value as a field: nothing for no such tag, ``""`` for an empty value, quoted where it has quotes."""
    if value is None:
        return ""
    if _FORMULA(value):
        value = f"'{value}"
    return value if value and '"' not in value else f'"{value.replace(chr(34), chr(34) * 2)}"'


def preferred(accept: str) -> Format:
    """The format to which an Accept header gives the highest quality (RFC 9110, 12.5.1). JSON is the default."""
    qualities = {form: max(_quality(accept, one) for one in types) for form, types in _ASKED_BY.items()}
    return max(qualities, key=qualities.__getitem__)


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
