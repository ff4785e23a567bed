"""Checks the parameters of the aggregate endpoint. Pure."""

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final, Literal, NamedTuple, TypeVar, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from central.errors import ApiError, invalid
from central.query.formats import FORMATS, Format, preferred
from central.query.globs import Glob, parse_globs
from central.query.operations import FRACTION_BELOW, SUMMARIES, of_values_alone, parse_operations
from central.query.relative_time import relative_time
from central.query.tags import parse_filters, parse_keys, parse_top
from central.store.plan import (
    MAX_WINDOWS_PER_ANSWER,
    MAX_WINDOWS_PER_NAME,
    WINDOWS,
    window_that_fits,
    windows_touched,
)
from central.store.series import TagFilter
from protocol.item import Fault, Kind
from protocol.names import NAME_RULE, is_name
from protocol.numbers import to_units
from protocol.times import NANOSECONDS, first_second, parse_exact

T = TypeVar("T")
Fill = Literal["zero", "null"]
StartOfWindow = Callable[[int, int, ZoneInfo | None], int]
"""central.query.windows.start_of_window. It comes as an argument, because this module does without numpy: the command
line uses it where only the light packages are installed."""
FILLS: Final = get_args(Fill)
PARAMETERS: Final = frozenset(
    {
        "name",
        "match",
        "operation",
        FRACTION_BELOW,
        "window",
        "start",
        "end",
        "fill",
        "format",
        "tz",
        "tags",
        "group_by",
        "top",
    }
)
RAW: Final = "raw"
"""The window of an export of points as they were stored."""
MOST_MATCHED: Final = 1_000
"""How many names the pattern of a query may mean."""
LIST_LIMIT: Final = 100
LIST_MOST: Final = 1_000
NUMBER_PATTERN: Final = r"^-?[0-9]{1,16}(\.[0-9]{1,16})?$"
_NO_PATTERN: Final = re.compile(r"[^A-Za-z0-9._*?!,{}\[\]-]", re.ASCII)
_ZONE: Final = re.compile(r"[A-Z][A-Za-z0-9_+-]{1,31}(/[A-Za-z0-9_+-]{1,31}){0,2}", re.ASCII)
# A '+' that was not percent-encoded arrives as a blank: "00:00:00 02:00" means 00:00:00+02:00.
_LOST_PLUS: Final = re.compile(r"\A(.{10}[Tt ]\d\d:\d\d\S*) (\d\d(?::?\d\d)?)\Z", re.ASCII)


class Query(NamedTuple):
    """A checked aggregate query over [start, end) in whole seconds. Bounds with a fraction were rounded up.

    If the range holds no whole second, both bounds are equal and the answer is empty.

    ``columns`` are the operations in the order of the query, and last FRACTION_BELOW if ``fraction_below`` has a
    value, which is in units.
    ``globs`` are patterns of more names, which ``with_matched`` adds; None without.
    ``fill`` is the value for a window without data; None leaves such windows out. ``zone`` is the time zone of the
    hours and days; None is UTC. ``filters`` and ``group_by`` choose and group series; None is without. ``top`` is how
    many groups are named.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...]
    window: str
    start: int
    end: int
    fill: str | None
    format: Format = "json"
    zone: ZoneInfo | None = None
    fraction_below: int | None = None
    filters: tuple[TagFilter, ...] | None = None
    group_by: tuple[str, ...] | None = None
    top: int | None = None
    globs: tuple[Glob, ...] | None = None

    @property
    def by_series(self) -> bool:
        """Whether the answer is of groups of series, and not of whole names."""
        return self.filters is not None or self.group_by is not None

    @property
    def csv(self) -> bool:
        """Whether the answer is CSV."""
        return self.format == "csv"

    @property
    def seconds(self) -> int:
        """The window in seconds."""
        return WINDOWS[self.window]


def parse_query(parameters: Mapping[str, str], now: float, start_of_window: StartOfWindow, accept: str = "") -> Query:
    """Check the parameters. ``accept`` is the Accept header, which decides if ``format`` is not given.

    ``start`` and ``end`` may count from ``now``, which is UTC seconds; such a start moves back to that of its window.
    Raises ApiError 400 that names the wrong parameter.
    """
    check_known(parameters, PARAMETERS)
    globs = tuple(parsed("match", parameters["match"], parse_match)) if "match" in parameters else None
    names = _names(_required(parameters, "name")) if "name" in parameters or globs is None else ()
    fraction_below = _fraction_below(parameters)
    columns = _columns(parameters)
    window = _one_of("window", _required(parameters, "window"), tuple(WINDOWS))
    zone = _zone(parameters)
    begins = _exact_time(parameters, "start", now, lambda moment: start_of_window(moment, WINDOWS[window], zone))
    ends = _exact_time(parameters, "end", now, int)
    fill = _one_of("fill", parameters["fill"], FILLS) if "fill" in parameters else None
    form = preferred(accept)
    if "format" in parameters:
        form = next(one for one in FORMATS if one == _one_of("format", parameters["format"], FORMATS))
    if begins >= ends:
        raise fault("end", "end must be later than start; the range is start <= time < end")
    start, end = first_second(begins), first_second(ends)
    _check_size((start, end), window, max(1, len(names)), len(columns))
    chosen = (_tags(parameters, "tags", parse_filters), _tags(parameters, "group_by", parse_keys))
    top = _tags(parameters, "top", parse_top)
    if top is not None and chosen[1] is None:
        raise fault("top", "top is for groups; give group_by too, such as group_by=host")
    return Query(names, columns, window, start, end, fill, form, zone, fraction_below, *chosen, top, globs)


class Export(NamedTuple):
    """A checked export over [start, end) in whole seconds, of names and of the names that patterns mean.

    ``seconds`` is the window; None for raw points.
    """

    names: tuple[str, ...]
    globs: tuple[Glob, ...] | None
    seconds: int | None
    start: int
    end: int


def parse_export(parameters: Mapping[str, str], now: float, start_of_window: StartOfWindow) -> Export:
    """Check the parameters of an export. An end in the future becomes now. Raises ApiError 400."""
    check_known(parameters, frozenset({"name", "match", "window", "start", "end"}))
    globs = tuple(parsed("match", parameters["match"], parse_match)) if "match" in parameters else None
    names = _names(_required(parameters, "name")) if "name" in parameters or globs is None else ()
    if len(names) > MOST_MATCHED:
        raise fault("name", f"name: an export may be of {MOST_MATCHED:,} names")
    window = _one_of("window", parameters["window"], (*WINDOWS, RAW)) if "window" in parameters else "1m"
    seconds = WINDOWS.get(window)
    start = _exact_time(parameters, "start", now, lambda moment: start_of_window(moment, seconds or 1, None))
    end = _exact_time(parameters, "end", now, int)
    if start >= end:
        raise fault("end", "end must be later than start; the range is start <= time < end")
    return Export(names, globs, seconds, first_second(start), min(first_second(end), int(now) + 86_400))


def with_matched(query: Query, kinds: Mapping[str, Kind]) -> Query:
    """The query with the names that its patterns mean, in order, behind those that it names.

    A counter has no percentiles, so a pattern means no counters where a query wants some, unless nothing is left.
    Raises ApiError 400 if the answer would be too large.
    """
    values = [name for name, kind in kinds.items() if kind == "value"]
    meant = (values if of_values_alone(query.columns) else ()) or kinds
    query = query._replace(names=tuple(dict.fromkeys([*query.names, *sorted(meant)])))
    if not query.by_series:
        _check_size((query.start, query.end), query.window, max(1, len(query.names)), len(query.columns))
    return query


def parse_match(text: str) -> list[Glob]:
    """The patterns of the parameter ``match``. Raises ValueError, also for one that no name can match."""
    if not text:
        raise ValueError("must be a pattern such as shop.*")
    foreign = _NO_PATTERN.search(text)
    if foreign is not None:
        raise ValueError(f"has {foreign[0]!a}, which no name has; a pattern is such as shop.* or web-[0-9].{{a,b}}")
    globs = parse_globs(text)
    if any(text.count("{", 0, at) == text.count("}", 0, at) for at, char in enumerate(text) if char == ","):
        raise ValueError(f"has a comma outside of braces; write {{{text}}} for several patterns")
    return globs


def check_kinds(query: Query, kinds: Mapping[str, Kind]) -> None:
    """A counter has no percentiles: raises ApiError 400 that names the parameter where a query wants one of a counter.

    ``kinds``: the types of those names that exist.
    """
    wanted = of_values_alone(query.columns)
    counter = next((name for name in query.names if kinds.get(name) == "counter"), None)
    if not wanted or counter is None:
        return
    field = FRACTION_BELOW if wanted[0] == FRACTION_BELOW else "operation"
    has = ", ".join(SUMMARIES)
    raise fault(field, f"{field}: {counter} is a counter and has no {wanted[0]}; a counter has {has}")


def check_groups(query: Query, groups: int) -> None:
    """Bound the answer once the number of its groups is known. Raises ApiError."""
    _check_size((query.start, query.end), query.window, groups, len(query.columns), of="group")


def _tags(parameters: Mapping[str, str], field: str, parse: Callable[[str], T]) -> T | None:
    """The value of a parameter about tags; None without it."""
    return parsed(field, parameters[field], parse) if field in parameters else None


def limit_of(parameters: Mapping[str, str]) -> int:
    """The most entries of a page. Raises ApiError 400."""
    limit = parameters.get("limit", str(LIST_LIMIT))
    if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= LIST_MOST):
        raise fault("limit", f"limit must be a whole number from 1 to {LIST_MOST}")
    return int(limit)


def fault(field: str, message: str) -> ApiError:
    """The 400 of a parameter that breaks a rule."""
    return invalid(Fault("VALIDATION_ERROR", field, message))


def parsed(field: str, text: str, parse: Callable[[str], T]) -> T:
    """What ``parse`` makes of a parameter. Its ValueErrors go on behind the parameter's name: raises ApiError 400."""
    try:
        return parse(text)
    except ValueError as error:
        raise fault(field, f"{field} {error}") from None


def check_known(parameters: Mapping[str, str], allowed: frozenset[str]) -> None:
    """Raise ApiError 400 that names a parameter which is not allowed."""
    for name in parameters:
        if name not in allowed:
            right = f"allowed are {', '.join(sorted(allowed))}" if allowed else "this endpoint has none"
            raise fault(name[:80], f"unknown parameter {name[:80]!r}; {right}")


def _required(parameters: Mapping[str, str], field: str) -> str:
    text = parameters.get(field)
    if not text:
        raise fault(field, f"{field} is required")
    return text


def _one_of(field: str, text: str, allowed: Sequence[str]) -> str:
    if text not in allowed:
        raise fault(field, f"{field} must be one of {', '.join(allowed)}")
    return text


def _columns(parameters: Mapping[str, str]) -> tuple[str, ...]:
    """The operations, and FRACTION_BELOW, which may also stand alone."""
    alone = FRACTION_BELOW in parameters
    if alone and "operation" not in parameters:
        return (FRACTION_BELOW,)
    try:
        return parse_operations(parameters.get("operation", "")) + (FRACTION_BELOW,) * alone
    except ValueError as error:
        raise fault("operation", f"operation {error}") from None


def _fraction_below(parameters: Mapping[str, str]) -> int | None:
    """The value of fraction_below in units, None without it."""
    if FRACTION_BELOW not in parameters:
        return None
    text = parameters[FRACTION_BELOW]
    try:
        if not re.fullmatch(NUMBER_PATTERN, text):
            says = "must be a plain number, such as 300 or 0.25, of at most 16 digits before and after the point"
            raise ValueError(says)
        return to_units(Decimal(text))
    except ValueError as error:
        raise invalid(Fault("INVALID_VALUE", FRACTION_BELOW, f"{FRACTION_BELOW} {error}")) from None


def _names(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if not is_name(name):
            raise invalid(Fault("INVALID_NAME", "name", f"name: each of the comma-separated names {NAME_RULE}"))
    return names


def _exact_time(parameters: Mapping[str, str], field: str, now: float, align: Callable[[int], int]) -> int:
    text = _required(parameters, field)
    relative = relative_time(text, now, align)
    if relative is not None:
        return relative * NANOSECONDS
    try:
        return parse_exact(_LOST_PLUS.sub(r"\1+\2", text))
    except ValueError as error:
        message = f"{field} {error}, now, or a time before now such as -90s, -24h or -7d"
        raise invalid(Fault("INVALID_TIMESTAMP", field, message)) from None


def _zone(parameters: Mapping[str, str]) -> ZoneInfo | None:
    """The time zone; None for UTC. A '+' that was not percent-encoded, as in Etc/GMT+5, arrives as a blank."""
    if "tz" not in parameters:
        return None
    try:
        return zone_of(parameters["tz"].replace(" ", "+"))
    except ValueError as error:
        raise fault("tz", str(error)) from None


def zone_of(name: str) -> ZoneInfo | None:
    """The time zone of an IANA name; None for UTC. Raises ValueError that says what would be right.

    A name of another form is not searched for in the file system, so a path such as ``../`` never reaches it.
    """
    if name == "UTC":
        return None
    try:
        if not _ZONE.fullmatch(name):
            raise ValueError("not the name of a time zone")
        return ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError(f"tz {name[:40]!r} is not known; give an IANA time zone such as Europe/Berlin") from None


def _check_size(span: tuple[int, int], window: str, names: int, columns: int, of: str = "name") -> None:
    """Bound what an answer holds: windows per name, and numbers in all."""
    touched = windows_touched(*span, WINDOWS[window])
    if touched <= MAX_WINDOWS_PER_NAME and touched * names * columns <= MAX_WINDOWS_PER_ANSWER:
        return
    fits = window_that_fits(*span, names * columns)
    fewer = f"fewer {of}s or fewer operations" if columns > 1 else f"fewer {of}s"
    advice = f"use window={fits}" if fits else f"no window fits: ask for a shorter range or {fewer}"
    each = f" for each of {names:,} {of}s" if names > 1 else ""
    times = f", times {columns} operations" if columns > 1 else ""
    raise ApiError(
        400,
        "RANGE_TOO_LARGE",
        f"the range has {touched:,} windows of {window}{each}{times}; an answer may have"
        f" {MAX_WINDOWS_PER_NAME:,} per {of} and {MAX_WINDOWS_PER_ANSWER:,} in all: {advice}",
        details={"field": "window", "windows": touched * names * columns, "fits": fits},
    )
