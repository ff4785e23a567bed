"""Where the service says what it does: stderr, JSON unless a person is watching."""

import logging
from typing import Final, TextIO

import structlog

_PEERS_FAULT: Final = "aiohttp.server"
"""Logs requests that are no HTTP, each with a traceback, which anybody could fill a disk with."""


def log_to(stream: TextIO) -> None:
    """Set up structlog for this process: a line an event, with its time in UTC; libraries' warnings as well."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *(
                [structlog.dev.ConsoleRenderer()]
                if stream.isatty()
                else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[_OneLine()], level=logging.WARNING, force=True)


class _OneLine(logging.Handler):
    """The standard library's records as events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        log = structlog.get_logger(record.name)
        cause = record.exc_info[1] if record.exc_info else None
        if record.name == _PEERS_FAULT:
            log.info("request_is_no_http", message=record.getMessage(), cause=str(cause)[:200])
        else:
            log.log(record.levelno, "library", source=record.name, message=record.getMessage(), exc_info=cause)
