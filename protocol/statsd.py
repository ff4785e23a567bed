"""The StatsD grammar: what one line means (DESIGN, "StatsD lines").

    line   = name ":" values "|" tail
    values = value *( ":" value )                      a set has one member, colons and all
    tail   = type *( "|" field )
    type   = "c" / "m" / "ms" / "h" / "d" / "g" / "s"
    field  = "@" rate / "#" tag *( "," tag ) / "c:" container / "T" unixtime / anything, ignored

A line is read in its three parts, each by its own function, because applications repeat names and
tails all day and only values change: whoever is in a hurry keeps what parse_head and parse_tail said.
"""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from typing import Final, Literal, NamedTuple

from protocol.limits import MAX_NAME_LENGTH
from protocol.names import clean_name
from protocol.numbers import MAX_UNITS, UNIT

MetricType = Literal["counter", "timing", "gauge", "set"]
Reason = Literal[
    "event",
    "service_check",
    "client_telemetry",
    "bad_name",
    "no_value",
    "no_type",
    "unknown_type",
    "bad_rate",
    "duplicate_rate",
    "bad_number",
    "out_of_range",
]
Note = Literal["name_cleaned", "tags_dropped", "timestamp_ignored", "unknown_field"]
"""What was put right or left out of a line that is otherwise good; an unknown field is noted each time."""

TYPES: Final[dict[bytes, MetricType]] = {
    b"c": "counter",
    b"m": "counter",
    b"ms": "timing",
    b"h": "timing",
    b"d": "timing",
    b"g": "gauge",
    b"s": "set",
}

MAX_DECIMALS: Final = 400
"""Decimals kept of a value as sent: all that any double can have. What is finer is rounded half even."""
EXACT: Final = Context(prec=MAX_DECIMALS + 60, rounding=ROUND_HALF_EVEN)
EXACT.traps[Inexact] = True
"""Room for the sum of 10^40 values within DECIMAL; traps rather than round. Copied by localcontext()."""

RATE_DIGITS: Final = 40
"""Significant digits kept of a rate, more than twice those of a double, so that windows close in time whatever
rates are sent. What is finer is rounded half even."""

LIMIT: Final = (Decimal(MAX_UNITS) + Decimal("0.5")) / UNIT
"""A number between -LIMIT and LIMIT, both excluded, is within DECIMAL once rounded half even."""
ONE: Final = Decimal(1)
"""The rate of a line that has none; any rate of 1 is this object."""

_FINEST: Final = Decimal(1).scaleb(-MAX_DECIMALS)
_ROUND: Final = Context(prec=MAX_DECIMALS + 60, rounding=ROUND_HALF_EVEN)
_RATE: Final = Context(prec=RATE_DIGITS, rounding=ROUND_HALF_EVEN)
_ZERO: Final = Decimal(0)

# Possessive, so that no packet makes it slow. No group is: with one, Python 3.11.2 (Debian 12) takes "1e" for a number.
_NUMBER: Final = re.compile(rb"[+-]?+(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?+([0-9]++))?")
_UNIX_TIME: Final = re.compile(rb"T[0-9]+")


class BadLineError(Exception):
    """A line that is not counted, and why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class Head(NamedTuple):
    """A name as central accepts it, without prefix and tags."""

    name: str
    notes: tuple[Note, ...] = ()


class Tail(NamedTuple):
    """What the values of a line mean.

    ``rate`` is 1 where it has no meaning (gauges, sets). ``suffix`` is what tags add to the name.
    A value v is within DECIMAL, after its rate and rounded, when -limit < v < limit.
    """

    type: MetricType
    rate: Decimal = ONE
    limit: Decimal = LIMIT
    suffix: str = ""
    notes: tuple[Note, ...] = ()


class Value(NamedTuple):
    """A number as sent; ``signed`` when a sign was written, which makes a gauge's value a delta."""

    number: Decimal
    signed: bool


class Sample(NamedTuple):
    """A line understood: ``values`` of a number type, or the ``member`` of a set."""

    name: str
    type: MetricType
    values: tuple[Value, ...]
    member: bytes | None
    rate: Decimal
    notes: tuple[Note, ...]


def parse_line(line: bytes, prefix: str = "", append_tags: bool = False) -> Sample | None:
    """The sample of one line without its newline; None for an empty line. Raises Rejected."""
    line = line.removesuffix(b"\r")
    if not line:
        return None
    raw, _, rest = line.partition(b":")
    values, _, text = rest.partition(b"|")
    head = parse_head(raw)
    tail = parse_tail(text, append_tags)
    name = full_name(prefix, head, tail)
    notes = head.notes + tail.notes
    if tail.type == "set":
        return Sample(name, tail.type, (), parse_member(values), tail.rate, notes)
    return Sample(name, tail.type, parse_values(values, tail.limit), None, tail.rate, notes)


def parse_head(raw: bytes) -> Head:
    """What stands before the first colon (the whole line if there is none). Raises Rejected.

    Each foreign character, and each byte that is no UTF-8, becomes one ``_`` (``/`` becomes ``-``).
    """
    if raw.startswith(b"_e{"):
        raise BadLineError("event")
    if raw.startswith(b"_sc|"):
        raise BadLineError("service_check")
    if raw.startswith(b"datadog.dogstatsd.client."):
        raise BadLineError("client_telemetry")
    if b"|" in raw:
        raise BadLineError("no_value")
    text = raw.decode("utf-8", "surrogateescape")
    name = clean_name(text)
    if not 0 < len(name) <= MAX_NAME_LENGTH:
        raise BadLineError("bad_name")
    return Head(name) if name == text else Head(name, ("name_cleaned",))


def parse_tail(text: bytes, append_tags: bool = False) -> Tail:
    """Type and fields, what stands after the first ``|`` of the rest. Raises Rejected.

    Tags become part of the name with ``append_tags``; else they are dropped and noted.
    """
    type_text, *fields = text.split(b"|")
    metric_type = TYPES.get(type_text)
    if metric_type is None:
        raise BadLineError("unknown_type" if type_text else "no_type")
    rate: Decimal | None = None
    tags: list[bytes] = []
    notes: list[Note] = []
    for field in fields:
        if field.startswith(b"@"):
            if rate is not None:
                raise BadLineError("duplicate_rate")
            rate = _rate(field[1:])
        elif field.startswith(b"#"):
            tags += filter(None, field[1:].split(b","))
        elif _UNIX_TIME.fullmatch(field):
            notes.append("timestamp_ignored")
        elif not field.startswith(b"c:"):
            notes.append("unknown_field")
    if tags and not append_tags:
        notes.append("tags_dropped")
    suffix = _suffix(tags) if append_tags else ""
    if rate is None or rate is ONE or metric_type in {"gauge", "set"}:
        return Tail(metric_type, suffix=suffix, notes=tuple(notes))
    limit = EXACT.multiply(LIMIT, rate)
    if limit <= 1:  # a single sample would weigh 1/rate, more than DECIMAL holds
        raise BadLineError("out_of_range")
    return Tail(metric_type, rate, limit, suffix, tuple(notes))


def parse_values(values: bytes, limit: Decimal = LIMIT) -> tuple[Value, ...]:
    """The numbers between name and type, at least one. Raises Rejected: one bad number rejects all."""
    found = []
    for text in values.split(b":"):
        if not text:
            raise BadLineError("no_value")
        number = parse_number(text)
        if not -limit < number < limit:
            raise BadLineError("out_of_range")
        found.append(Value(number, text[0] in b"+-"))
    return tuple(found)


def parse_member(values: bytes) -> bytes:
    """The member of a set. Raises Rejected when it is empty."""
    if not values:
        raise BadLineError("no_value")
    return values


def parse_number(text: bytes) -> Decimal:
    """An ASCII number, exact to MAX_DECIMALS. Raises Rejected: bad_number, or out_of_range from 10^16 on."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise BadLineError("bad_number")
    exponent = match[1]
    if exponent is not None and len(exponent) > 6:
        # Longer than any mantissa could make up for; Decimal itself refuses exponents of 19 digits.
        text = text[: match.start(1)] + (exponent.lstrip(b"0")[:7] or b"0")
    number = Decimal(text.decode("ascii"))
    if not number:
        return _ZERO
    if number.adjusted() > 15:
        raise BadLineError("out_of_range")
    if exponent is not None or len(text) > MAX_DECIMALS:
        number = _not_too_fine(number)
    return number


def full_name(prefix: str, head: Head, tail: Tail) -> str:
    """The name under which a line is counted. Raises Rejected when it is too long."""
    name = f"{prefix}{head.name}{tail.suffix}"
    if len(name) > MAX_NAME_LENGTH:
        raise BadLineError("bad_name")
    return name


def _not_too_fine(number: Decimal) -> Decimal:
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
        return number.quantize(_FINEST, context=_ROUND) or _ZERO
    return number


def _rate(text: bytes) -> Decimal:
    try:
        rate = parse_number(text)
    except BadLineError:
        raise BadLineError("bad_rate") from None
    if not 0 < rate <= 1:
        raise BadLineError("bad_rate")
    rate = _RATE.plus(rate)
    return ONE if rate == 1 else rate


def _suffix(tags: list[bytes]) -> str:
    """``.key.value`` of each tag, cleaned, sorted and once; a tag without a value is its key alone."""
    parts = set()
    for tag in tags:
        key, _, value = tag.decode("utf-8", "surrogateescape").partition(":")
        parts.add(".".join(clean_name(part) for part in (key, value) if part))
    return "".join(f".{part}" for part in sorted(parts) if part)
