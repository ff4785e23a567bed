"""One line an event, and no traceback for what a stranger sent."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from central.log import log_to


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    log_to(stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_an_event_is_one_line_of_json(lines: io.StringIO) -> None:
    structlog.get_logger("x").info("serving", port=8080)
    event = json.loads(lines.getvalue())
    assert (event["event"], event["port"], event["level"]) == ("serving", 8080, "info")
    assert event["timestamp"].endswith("Z")


def test_what_is_no_http_is_one_line_without_a_traceback(lines: io.StringIO) -> None:
    try:
        raise ValueError("bad request line")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("Error handling request from 127.0.0.1")
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["cause"] == "bad request line"
    assert "Traceback" not in line


def test_a_library_s_warning_keeps_its_cause(lines: io.StringIO) -> None:
    logging.getLogger("asyncio").warning("slow callback", exc_info=RuntimeError("why"))
    (line,) = lines.getvalue().splitlines()
    event = json.loads(line)
    assert (event["source"], event["message"], event["level"]) == ("asyncio", "slow callback", "warning")
    assert "RuntimeError: why" in event["exception"]
