"""The report of an agent on itself, in a header beside each of its batches.

    Metrics-Agent: {"id":"9f…","run":"03…","host":"web-1","version":"1.0","started":1764208800,"received":5001,…}

It is made when a batch is sent, so it is no part of the body: a retry of a batch has the same body and a newer report.
A service that does not know the header ignores it. docs/decisions/0022-the-report-travels-beside-a-batch.md says more.

``points`` has, for each process of the service, how many items its answers have acknowledged to this run of the
agent. A process says its own id in each answer, in Metrics-Process, and compares with its own count.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

REPORT_HEADER: Final = "Metrics-Agent"
PROCESS_HEADER: Final = "Metrics-Process"
"""In the answer to a batch with a report: the id of the process that answers, PROCESS in form."""
MAX_REPORT: Final = 6_000
"""The most bytes of the header. Proxies take at least 8 KiB."""
MAX_REASONS: Final = 24
"""How many reasons of lost samples have a count of their own. All others count together as OTHER_REASONS."""
OTHER_REASONS: Final = "other"
MAX_PROCESSES: Final = 8
"""The report has the acknowledged points of at most so many processes of the service: those that answered last."""
MAX_TEXT: Final = 80
"""The most characters of a host's name and of a version."""
_MOST: Final = (1 << 63) - 1
_LAST_SECOND: Final = 253_402_300_799
"""The last second of the year 9999. No later time can be written."""
_AGENT: Final = re.compile(r"[0-9a-f]{32}")
PROCESS: Final = re.compile(r"[0-9a-f]{16}")
"""The form of the id of a process of the service, and of a run of an agent."""
_WORD: Final = re.compile(r"[A-Za-z0-9_]{1,64}")
_UNFIT: Final = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentReport:
    """What an agent says of itself. Counts are samples since its start, unless they say otherwise.

    ``id`` is 32 hex digits that an installation keeps, ``run`` 16 of one start. ``started`` is in Unix seconds.
    ``stopping``: the agent stops, and this may be its last report. ``clock_ahead`` is in seconds, None while the agent
    does not know the service's time. ``dropped`` is by reason. ``left_out`` are lines that are no
    metrics. ``lost`` counts what never became a sample: datagrams
    and connections, by what became of them.
    """

    id: str
    run: str
    host: str
    version: str
    started: int
    stopping: bool = False
    received: int = 0
    recovered: int = 0
    acknowledged: int = 0
    left_out: int = 0
    in_window: int = 0
    in_spool: int = 0
    spool_batches: int = 0
    spool_bytes: int = 0
    names: int = 0
    series: int = 0
    clock_ahead: float | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)
    points: Mapping[str, int] = field(default_factory=dict)


_FIELDS: Final = frozenset(each.name for each in fields(AgentReport))
_ALWAYS: Final = frozenset({"id", "run", "host", "version", "started"})


def write_report(report: AgentReport) -> str:
    """The header's value: JSON in visible ASCII, at most MAX_REPORT bytes. Counts of 0 are left out."""
    written = {name: value for name, value in asdict(report).items() if name in _ALWAYS or value not in (None, 0, {})}
    if report.clock_ahead is not None:
        written["clock_ahead"] = report.clock_ahead
    written["host"], written["version"] = (written[name][:MAX_TEXT] for name in ("host", "version"))
    written["dropped"] = _largest(report.dropped)
    return json.dumps(written, separators=(",", ":"))


def read_report(text: str) -> AgentReport:
    """The report in a header's value. Fields that we do not know are ignored. Raises ValueError for anything else.

    No text in the result has a character that a terminal would obey.
    """
    if len(text) > MAX_REPORT or not text.isascii():
        raise ValueError(f"is not ASCII of at most {MAX_REPORT} bytes")
    try:
        given = json.loads(text)
    except RecursionError:
        raise ValueError("lies too deep") from None
    if type(given) is not dict:
        raise ValueError("is no object")
    read = {name: _RULES.get(name, _count)(given[name]) for name in _FIELDS & given.keys()}
    try:
        return AgentReport(**read)
    except TypeError:
        raise ValueError("has no id, run, host, version or start") from None


def shown_text(text: str) -> str:
    """``text`` for a terminal: at most MAX_TEXT characters, each of them visible."""
    return "".join(letter if letter.isprintable() else _UNFIT for letter in text[:MAX_TEXT])


def _largest(dropped: Mapping[str, int]) -> dict[str, int]:
    """The reasons that lost most, and what the others lost together."""
    first, rest = dict[str, int](), 0
    for reason, count in sorted(dropped.items(), key=lambda entry: -entry[1]):
        if len(first) < MAX_REASONS and _WORD.fullmatch(reason):
            first[reason] = count
        else:
            rest += count
    counts = {**first, OTHER_REASONS: rest + first.get(OTHER_REASONS, 0)}
    return {reason: count for reason, count in counts.items() if count}


def _count(given: object) -> int:
    if type(given) is not int or not 0 <= given <= _MOST:
        raise ValueError("has a count that is none")
    return given


def _moment(given: object) -> int:
    return min(_count(given), _LAST_SECOND)


def _counts(given: object) -> dict[str, int]:
    if type(given) is not dict or len(given) > MAX_REASONS + MAX_PROCESSES:
        raise ValueError("has counts that are no object, or too many")
    if not all(map(_WORD.fullmatch, given)):
        raise ValueError("has counts under a name that is no word")
    return {word: _count(count) for word, count in given.items()}


def _text(given: object) -> str:
    if type(given) is not str:
        raise ValueError("has a number where a text belongs")
    return shown_text(given)


def _of_form(form: re.Pattern[str]) -> Any:
    def rule(given: object) -> str:
        if type(given) is not str or not form.fullmatch(given):
            raise ValueError("has an id that is none")
        return given

    return rule


def _seconds(given: object) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) < _LAST_SECOND:
        raise ValueError("has a time that is none")
    return round(float(given), 3)


def _yes_or_no(given: object) -> bool:
    if type(given) is not bool:
        raise ValueError("has a yes or no that is neither")
    return given


_RULES: Final[Mapping[str, Any]] = {
    "id": _of_form(_AGENT),
    "run": _of_form(PROCESS),
    "host": _text,
    "version": _text,
    "started": _moment,
    "stopping": _yes_or_no,
    "clock_ahead": _seconds,
    "dropped": _counts,
    "lost": _counts,
    "points": _counts,
}
"""The fields that are more than a count."""
