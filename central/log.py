"""The service's log, on standard error: JSON, or text on a terminal.

No line holds a secret or a line break. Each event has at most BURST lines per BURST_SECONDS, and the next line says
how many were left out. If a line cannot be written, the service goes on.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from datetime import datetime
from typing import Any, Final, TextIO

import structlog

from central.request_id import add_request_id
from runtime.log_lines import BurstLimit, LogLines
from runtime.redact import HIDDEN, hide_keys, one_line
from runtime.systemd import journal_reads, mark
from runtime.terminal_line import TerminalLine, columns_of, folded, wants_colour

BURST: Final = 20
BURST_SECONDS: Final = 60.0
AUDIT: Final = frozenset({"key_created", "key_revoked", "key_rotated", "metric_deleted"})
"""Events of which every line is written."""
MIN_SECRET: Final = 6
"""A shorter secret could be an ordinary word, so it is not hidden."""
_PEERS_FAULT: Final = "aiohttp.server"
"""This logger of aiohttp reports requests that are not HTTP, with a traceback each. Anybody could fill a disk so."""
Event = MutableMapping[str, Any]
Render = Callable[[Any, str, Event], Any]


def log_to(stream: TextIO, secrets: Iterable[str | None] = (), environ: Mapping[str, str] = os.environ) -> None:
    """Set up structlog for this process: a line per event, with its time in UTC. Warnings of libraries are logged too.

    No line holds one of ``secrets``, wherever the text comes from, or an API key.
    """
    lines = LogLines(stream)

    def add_unwritten(_: object, __: str, event: Event) -> Event:
        """If lines could not be written, the next line says how many."""
        return {**event, "unwritten": lines.unwritten} if lines.unwritten else event

    render: Render = structlog.processors.JSONRenderer()
    if journal_reads(environ, stream):
        render = _marked(render)
    finish: list[Any] = [render, Redacted(secrets)]
    if stream.isatty():
        finish = [_for_a_person(environ), Redacted(secrets), _folded(stream)]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            NotTooOften(time.monotonic),
            add_request_id,
            add_unwritten,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *finish,
        ],
        logger_factory=structlog.WriteLoggerFactory(lines),  # type: ignore[arg-type]  # it asks a stream for write and flush alone
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_OneLine()], level=logging.WARNING, force=True)


class NotTooOften:
    """A structlog processor that leaves out events that come too often. ``ticks`` is monotonic seconds."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        self._limit = BurstLimit(BURST, BURST_SECONDS, ticks)

    def __call__(self, _: object, __: str, event: Event) -> Event:
        """Return the event, or raise DropEvent."""
        name = str(event.get("event"))
        if name in AUDIT:
            return event
        left_out = self._limit.try_pass(name)
        if left_out is None:
            raise structlog.DropEvent
        if left_out:
            event["left_out"] = left_out
        return event


class Redacted:
    """A processor that hides secrets in a rendered line, also JSON-escaped ones. API keys keep their public id."""

    def __init__(self, secrets: Iterable[str | None]) -> None:
        known = [secret for secret in secrets if secret is not None and len(secret) >= MIN_SECRET]
        forms = {form for secret in known for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1])}
        longest_first = sorted(forms, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first))) if forms else None

    def __call__(self, _: object, __: str, line: Any) -> str:
        """The line without secrets."""
        if self._secrets is not None:
            line = self._secrets.sub(HIDDEN, line)
        return hide_keys(line)


def _marked(render: Render) -> Render:
    """``render`` with a prefix by which the journal knows a line's level."""
    return lambda logger, method, event: mark(str(event["level"])) + str(render(logger, method, event))


def _for_a_person(environ: Mapping[str, str]) -> Render:
    """A line for a terminal. A traceback follows it, each of its lines escaped: it may hold what a client sent."""
    terminal = TerminalLine("central", colour=wants_colour(environ))

    def render(_: Any, __: str, event: Event) -> str:
        fields = dict(event)
        now = datetime.fromisoformat(fields.pop("timestamp")).astimezone()
        traceback = fields.pop("exception", None)
        line = terminal.make(now, str(fields.pop("level")), str(fields.pop("event")), fields)
        return line if traceback is None else "\n".join([line, *map(one_line, str(traceback).split("\n"))])

    return render


def _folded(stream: TextIO) -> Callable[[Any, str, str], str]:
    """A processor that breaks a line where the terminal ends. A traceback stays as it is."""

    def fold(_: Any, __: str, text: str) -> str:
        line, *traceback = text.split("\n")
        return "\n".join([folded(line, columns_of(stream)), *traceback])

    return fold


class _OneLine(logging.Handler):
    """Turns log records of the standard library into structlog events."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        cause = record.exc_info[1] if record.exc_info else None
        if record.name == _PEERS_FAULT:
            quotes = type(cause).__module__ == "aiohttp.http_exceptions"  # its text quotes the request, maybe a key
            shown = type(cause).__name__ if quotes else str(cause)[:200]
            log.info("request_is_no_http", message=record.getMessage(), cause=shown)
        else:
            log.log(record.levelno, "library", source=record.name, message=record.getMessage(), exc_info=cause)
