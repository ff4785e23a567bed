"""The StatsD grammar: what one line means (DESIGN, "StatsD lines").

    line   = name ":" piece *( ":" piece )
    piece  = values "|" tail
    values = value *( ":" value )                      a set has one member, colons and all
    tail   = type *( "|" field )
    type   = "c" / "m" / "ms" / "h" / "d" / "g" / "s"
    field  = "@" rate / "#" tag *( "," tag ) / "T" unixtime / origin / anything, ignored
    origin = ( "c:" / "e:" / "card:" ) anything        where a DogStatsD client runs, ignored

Each value counts, or is lost for a reason, by itself. A bad value does not affect the others. ``pieces_of`` tells a new
piece from a field with a colon in it.

parse_head reads the name, parse_tail the tail and parse_values the values. Applications repeat names and tails and
change only the values, so a fast caller stores the results of parse_head and parse_tail.
"""

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from typing import Final, Literal, NamedTuple

from protocol.limits import MAX_NAME_LENGTH
from protocol.names import clean_name
from protocol.numbers import MAX_UNITS, UNIT
from protocol.statsd_tags import Pair, Suffix, TagRules, split_key, tags_in_name, tags_of_field

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
Note = Literal[
    "name_cleaned", "tags_dropped", "tag_cleaned", "tag_repeated", "tags_over_cap", "unknown_field", "gauge_delta"
]
"""What was corrected in a good line, left out of it, or is worth knowing. Each unknown field and each gauge value that
is a delta is noted."""

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
"""Decimals of a sent value that count, enough for any double. Further decimals are rounded half even."""
EXACT: Final = Context(prec=MAX_DECIMALS + 60, rounding=ROUND_HALF_EVEN)
EXACT.traps[Inexact] = True
"""Enough digits for the sum of 10^40 values inside DECIMAL. It raises Inexact and never rounds. localcontext() copies
it."""

RATE_DIGITS: Final = 40
"""Significant digits of a rate that count, more than twice those of a double. Further digits are rounded half even, so
that no rate makes the close of a window slow."""

LIMIT: Final = (Decimal(MAX_UNITS) + Decimal("0.5")) / UNIT
"""A number between -LIMIT and LIMIT, both excluded, is inside DECIMAL after it is rounded half even."""
KEEP: Final = TagRules()
"""Tags are kept, and the host has none."""
ONE: Final = Decimal(1)
"""The rate of a line without a rate. Every rate of 1 is this object."""

_FINEST: Final = Decimal(1).scaleb(-MAX_DECIMALS)
_ROUND: Final = Context(prec=MAX_DECIMALS + 60, rounding=ROUND_HALF_EVEN)
_RATE: Final = Context(prec=RATE_DIGITS, rounding=ROUND_HALF_EVEN)
_ZERO: Final = Decimal(0)

# The repeats are possessive, so that no packet makes it slow. Groups are not: with a possessive group, Python 3.11.2
# (Debian 12) takes "1e" for a number.
_NUMBER: Final = re.compile(rb"[+-]?+(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?+([0-9]++))?")
_UNIX_TIME: Final = re.compile(rb"T([0-9]+)")
_TIME_DIGITS: Final = 12
_LAST_TIME: Final = 10**11
"""A later time is as far in the future as this one."""


ORIGIN: Final = (b"c:", b"e:", b"card:")
"""Container, external data and cardinality: only DogStatsD's clients write these fields."""


class BadLineError(Exception):
    """A line that is not counted, and why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Final = reason


class Head(NamedTuple):
    """A name as central accepts it, without prefix, and the tags that were written into it."""

    name: str
    notes: tuple[Note, ...] = ()
    tags: tuple[Pair, ...] = ()


class Tail(NamedTuple):
    """What the values of a line mean.

    ``rate`` is 1 where it has no meaning (gauges, sets). ``suffix`` is what its tags and the host's add to a name
    without tags, and ``tag_notes`` is what to note of them. ``tags`` are its own, none where tags are dropped.
    ``absolute``: there is a field that only DogStatsD writes, so a signed gauge is a plain value. ``timestamp`` is when
    the values were recorded, in Unix seconds, None for now.
    When -limit < v < limit, the value v, divided by its rate and rounded, is inside DECIMAL.
    """

    type: MetricType
    rate: Decimal = ONE
    limit: Decimal = LIMIT
    suffix: str = ""
    notes: tuple[Note, ...] = ()
    absolute: bool = False
    tags: tuple[Pair, ...] = ()
    tag_notes: tuple[Note, ...] = ()
    timestamp: int | None = None


class Value(NamedTuple):
    """A number as sent. ``signed``: it has a sign, which makes a gauge's value a delta."""

    number: Decimal
    signed: bool


class Sample(NamedTuple):
    """A good piece: the ``values`` of a number type, or the ``member`` of a set. For the other fields see Tail.

    ``tags`` is the text of protocol.tags, None for no tags.
    """

    name: str
    type: MetricType
    values: tuple[Value, ...]
    member: bytes | None
    rate: Decimal
    notes: tuple[Note, ...]
    absolute: bool = False
    tags: str | None = None
    timestamp: int | None = None


class Line(NamedTuple):
    """A parsed line: what counts of it, and a reason for each value that does not count."""

    samples: tuple[Sample, ...]
    lost: tuple[Reason, ...] = ()


class BadTail(NamedTuple):
    """Why a tail is bad, and whether each value before it is a sample: a set's member may have colons in it."""

    reason: Reason
    several: bool


def parse_line(line: bytes, prefix: str = "", rules: TagRules = KEEP) -> Line:
    """What one line without its newline means. An empty line gives an empty result."""
    line = line.removesuffix(b"\r")
    if not line:
        return Line(())
    raw, _, rest = line.partition(b":")
    try:
        head: Head | None = parse_head(raw)
    except BadLineError as rejected:
        if rejected.reason != "bad_name":
            return Line((), (rejected.reason,))
        head = None
    samples: list[Sample] = []
    lost: list[Reason] = []
    for values, text in pieces_of(rest):
        tail = tail_of(text, rules)
        if head is None or isinstance(tail, BadTail):
            reason = tail.reason if head is not None and isinstance(tail, BadTail) else "bad_name"
            lost += [reason] * lost_with(values, tail)
            continue
        try:
            key, notes = key_of(prefix, head, tail, rules.suffix)
        except BadLineError as rejected:
            lost += [rejected.reason] * lost_with(values, tail)
            continue
        member, good, bad = _values_of(values, tail)
        lost += bad
        if good or member:
            name, tags = split_key(key)
            meaning = (tail.rate, notes, tail.absolute, tags, tail.timestamp)
            samples.append(Sample(name, tail.type, good, member, *meaning))
    return Line(tuple(samples), tuple(lost))


def tail_of(text: bytes, rules: TagRules) -> Tail | BadTail:
    """What ``parse_tail`` finds, or why it finds nothing."""
    try:
        return parse_tail(text, rules)
    except BadLineError as rejected:
        return BadTail(rejected.reason, several=TYPES.get(text.partition(b"|")[0], "set") != "set")


def _values_of(values: bytes, tail: Tail) -> tuple[bytes | None, tuple[Value, ...], tuple[Reason, ...]]:
    if tail.type != "set":
        return None, *parse_values(values, tail.limit)
    return (values, (), ()) if values else (None, (), ("no_value",))


def pieces_of(rest: bytes) -> list[tuple[bytes, bytes]]:
    """The pieces of a line: values and tail of each. ``rest`` is the line after the name and its colon.

    Most lines have one piece. A colon begins another piece after a type, after a rate, and at the beginning of a field.
    In another field, except tags and a container, it begins one only when the next field is a type. So `|c:ab12` and
    `|x:new` are fields, and no value is mistaken for one. Nor is `|c:ab12` mistaken for a type with a value after it.
    """
    values, _, text = rest.partition(b"|")
    if b":" not in text:
        return [(values, text)]
    fields = text.split(b"|")
    pieces = []
    tail: list[bytes] = []
    for field, after in zip(fields, [*fields[1:], b""], strict=True):
        before, colon, value = field.partition(b":")
        if colon and _ends_piece(field, after, is_type=not tail):
            pieces.append((values, b"|".join([*tail, before] if before or not tail else tail)))
            values, tail = value, []
        else:
            tail.append(field)
    return [*pieces, (values, b"|".join(tail))]


def _ends_piece(field: bytes, after: bytes, *, is_type: bool) -> bool:
    """Whether the first colon of a field begins another piece. ``after`` is the next field."""
    before, _, value = field.partition(b":")
    if before in TYPES if is_type else before.startswith(b"@") or (not before and value):
        return True
    if field.startswith((b"#", b"c:")):
        return False
    return not after.startswith(b"c:") and after.partition(b":")[0] in TYPES


def lost_with(values: bytes, tail: Tail | BadTail) -> int:
    """How many samples are lost with a refused piece: all its values, but one for a set or an unknown type."""
    several = tail.several if isinstance(tail, BadTail) else tail.type != "set"
    return 1 + values.count(b":") if several else 1


def parse_head(raw: bytes) -> Head:
    """Parse what stands before the first colon (the whole line if there is none). Raises BadLineError.

    Tags are taken out of the name. Then each foreign character, and each byte that is not UTF-8, becomes one ``_``
    (``/`` becomes ``-``). The result must have a letter or a digit.
    """
    if raw.startswith(b"_e{"):
        raise BadLineError("event")
    if raw.startswith(b"_sc|"):
        raise BadLineError("service_check")
    if raw.startswith(b"datadog.dogstatsd.client."):
        raise BadLineError("client_telemetry")
    if b"|" in raw:
        raise BadLineError("no_value")
    text, tags = tags_in_name(raw.decode("utf-8", "surrogateescape"))
    name = clean_name(text)
    if not 0 < len(name) <= MAX_NAME_LENGTH:
        raise BadLineError("bad_name")
    if name == text:
        return Head(name, (), tags)
    if not any(map(str.isalnum, name)):  # all names of one length in another alphabet would become the same
        raise BadLineError("bad_name")
    return Head(name, ("name_cleaned",), tags)


def parse_tail(text: bytes, rules: TagRules = KEEP) -> Tail:
    """Type and fields, what stands after the first ``|`` of the rest. Raises BadLineError."""
    type_text, *fields = text.split(b"|")
    metric_type = TYPES.get(type_text)
    if metric_type is None:
        raise BadLineError("unknown_type" if type_text else "no_type")
    rate: Decimal | None = None
    tags: list[Pair] = []
    notes: list[Note] = []
    absolute, timestamp = False, None
    for field in fields:
        if field.startswith(b"@"):
            if rate is not None:
                raise BadLineError("duplicate_rate")
            rate = _rate(field[1:])
        elif field.startswith(b"#"):
            tags += tags_of_field(field)
            absolute = True
        elif (time := _UNIX_TIME.fullmatch(field)) is not None:
            timestamp = min(int(time[1].lstrip(b"0")[:_TIME_DIGITS] or b"0"), _LAST_TIME)
            absolute = True
        elif field.startswith(ORIGIN):
            absolute = True
        else:
            notes.append("unknown_field")
    suffix, tag_notes = rules.suffix(tuple(tags))
    kept = () if rules.mode == "drop" else tuple(tags)
    absolute = absolute and metric_type == "gauge"
    rest = (suffix, tuple(notes), absolute, kept, tag_notes, timestamp)
    if rate is None or rate is ONE or metric_type in {"gauge", "set"}:
        return Tail(metric_type, ONE, LIMIT, *rest)
    limit = EXACT.multiply(LIMIT, rate)
    if limit <= 1:  # a single sample would weigh 1/rate, more than DECIMAL holds
        raise BadLineError("out_of_range")
    return Tail(metric_type, rate, limit, *rest)


def parse_values(values: bytes, limit: Decimal = LIMIT) -> tuple[tuple[Value, ...], tuple[Reason, ...]]:
    """The numbers between name and type, and a reason for each value that is bad."""
    good: list[Value] = []
    bad: list[Reason] = []
    for text in values.split(b":"):
        try:
            good.append(parse_value(text, limit))
        except BadLineError as rejected:
            bad.append(rejected.reason)
    return tuple(good), tuple(bad)


def parse_value(text: bytes, limit: Decimal = LIMIT) -> Value:
    """Parse one number. Raises BadLineError."""
    if not text:
        raise BadLineError("no_value")
    number = parse_number(text)
    if not -limit < number < limit:
        raise BadLineError("out_of_range")
    return Value(number, text[0] in b"+-")


def parse_number(text: bytes) -> Decimal:
    """Parse an ASCII number, exact to MAX_DECIMALS. Raises BadLineError: bad_number, or out_of_range from 10^16 on."""
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise BadLineError("bad_number")
    exponent = match[1]
    if exponent is not None and len(exponent) > 6:
        # No mantissa is long enough to balance such an exponent. Decimal itself refuses exponents of 19 digits.
        text = text[: match.start(1)] + (exponent.lstrip(b"0")[:7] or b"0")
    number = Decimal(text.decode("ascii"))
    if not number:
        return _ZERO
    if number.adjusted() > 15:
        raise BadLineError("out_of_range")
    if exponent is not None or len(text) > MAX_DECIMALS:
        number = _not_too_fine(number)
    return number


def key_of(
    prefix: str, head: Head, tail: Tail, suffix_of: Callable[[tuple[Pair, ...]], Suffix]
) -> tuple[str, tuple[Note, ...]]:
    """The key of the series under which a line is counted, and what is worth noting of the line.

    ``suffix_of`` is TagRules.suffix, or gives the same.
    Raises BadLineError when the name is too long.
    """
    suffix, notes = tail.suffix, tail.tag_notes
    if head.tags:
        suffix, notes = suffix_of(head.tags + tail.tags)
    key = f"{prefix}{head.name}{suffix}"
    if len(key) > MAX_NAME_LENGTH and len(split_key(key)[0]) > MAX_NAME_LENGTH:
        raise BadLineError("bad_name")
    return key, head.notes + tail.notes + notes


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
