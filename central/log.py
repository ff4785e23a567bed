"""Where the service says what it does: stderr, JSON unless a person is watching."""

from typing import TextIO

import structlog


def log_to(stream: TextIO) -> None:
    """Set up structlog for this process: a line an event, with its time in UTC."""
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
