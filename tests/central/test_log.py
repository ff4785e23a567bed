"""central/log.py: one line per event, and no traceback for what a stranger sent."""

import asyncio
import io
import json
import logging
import os
import re
import sys
from fcntl import ioctl
from pathlib import Path
from struct import pack
from termios import TIOCSWINSZ

import aiohttp
import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage

from central.log import BURST, BURST_SECONDS, NotTooOften, log_to
from tests.central.harness import Central, process_environ
from tests.full_disk import FullDisk
from tests.notify_socket import NotifySocket

pytestmark = pytest.mark.usefixtures("logging_as_it_was")
KEY = "gf_q7w3k9x2m5ab_" + "S3cr-t_" * 6 + "x"
ADMIN_KEY = "canary-admin-0123456789abcdefghijkl"
UNSEEN = [f"a{char}b" for char in "\u202a\u202e\u2066\u2069\u200e\u200f\u061c\u200b\ufeff\ud800\udcff\U000e0041"]
"""Characters that turn text around, cannot be seen, or are half a character."""
SECRETS = ['p\'ass "word" é', None, "short", "correct-horse"]


class Terminal(io.StringIO):
    """A stream that a person watches, as wide as the terminal of ``descriptor``."""

    descriptor: int | None = None

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return super().fileno() if self.descriptor is None else self.descriptor


@pytest.fixture
def lines() -> io.StringIO:
    stream = io.StringIO()
    log_to(stream, SECRETS)
    return stream


@pytest.fixture
def watched() -> Terminal:
    stream = Terminal()
    log_to(stream, SECRETS)
    return stream


def test_an_event_is_one_line_of_json(lines: io.StringIO) -> None:
    structlog.get_logger("x").info("serving", port=8080)
    event = json.loads(lines.getvalue())
    assert (event["event"], event["port"], event["level"]) == ("serving", 8080, "info")
    assert event["timestamp"].endswith("Z")


def test_the_journal_is_told_the_level(tmp_path: Path) -> None:
    with (tmp_path / "journal").open("w+") as stream:
        found = os.fstat(stream.fileno())
        log_to(stream, SECRETS, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        log = structlog.get_logger("x")
        log.info("serving")
        log.warning("slow_query", leaked=KEY)
        log.exception("crashed", exc_info=RuntimeError("correct-horse"))
        logging.getLogger("asyncio").critical("broken")
        stream.seek(0)
        lines = stream.readlines()
    assert [line.partition("{")[0] for line in lines] == ["<6>", "<4>", "<3>", "<2>"]
    assert not any(secret in line for line in lines for secret in (KEY, "correct-horse"))


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


def test_what_was_sent_is_not_quoted(lines: io.StringIO) -> None:
    cause = BadHttpMessage(f"Invalid header token: b'X-API-Key {KEY}'")
    logging.getLogger("aiohttp.server").error("Error handling request from 127.0.0.1", exc_info=cause)
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["cause"] == "BadHttpMessage"


@pytest.mark.parametrize("secret", ['p\'ass "word" é', "correct-horse", KEY])
@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_a_secret_is_hidden_wherever_it_comes_from(lines: io.StringIO, level: str, secret: str) -> None:
    log = structlog.get_logger("x")
    getattr(log, level)("event", text=f"<{secret}>", nested={"a": [secret]}, odd=Exception(secret))
    getattr(log, level)(secret)
    logging.getLogger("library").error("broke with %s", secret)
    try:
        raise RuntimeError(f"cannot use {secret}")
    except RuntimeError:
        log.exception("crashed")
    for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], secret[20:]):
        assert not form or form not in lines.getvalue(), form
    assert len([json.loads(line) for line in lines.getvalue().splitlines()]) == 4


def test_a_short_secret_and_a_key_s_public_id_stay(lines: io.StringIO) -> None:
    structlog.get_logger("x").info("short", key=KEY)
    assert json.loads(lines.getvalue())["event"] == "short"
    assert json.loads(lines.getvalue())["key"] == "gf_q7w3k9x2m5ab_***"


def test_a_traceback_on_a_terminal_shows_no_local_variables(watched: Terminal) -> None:
    def broken(key: str) -> None:
        raise RuntimeError(f"{len(key)} characters")

    try:
        broken("a local secret")
    except RuntimeError:
        structlog.get_logger("x").exception("crashed")
    assert "RuntimeError: 14 characters" in watched.getvalue()
    assert "a local secret" not in watched.getvalue().replace('broken("a local secret")', "")


def test_a_secret_is_hidden_before_its_line_is_broken(watched: Terminal) -> None:
    ours, its = os.openpty()
    ioctl(ours, TIOCSWINSZ, pack("HHHH", 24, 80, 0, 0))
    watched.descriptor = its
    secret = str(SECRETS[0])
    for before in range(BURST):  # the line would be broken at each blank of the secret
        structlog.get_logger("x").info(f"e{before}", message=f"{'x' * before} {secret} {'y ' * 30}")
    os.close(ours)
    os.close(its)
    seen = re.sub(r"\x1b\[[\d;]*m", "", watched.getvalue())
    assert seen.count("***") == BURST
    assert not any(part in seen for part in secret.split(" "))
    assert max(map(len, seen.splitlines())) <= 80


def test_the_text_of_an_error_stays_in_its_line_of_the_traceback(watched: Terminal) -> None:
    try:
        raise ValueError("a\x1b[2Jb\u202ec\x85d")
    except ValueError:
        structlog.get_logger("x").exception("crashed")
    assert "ValueError: a\\x1b[2Jb\\u202ec\\x85d\n" in watched.getvalue()


@pytest.mark.parametrize("text", ["a\nfake event", "a\r", "\x1b[2J", "a\x00", "a\u2028b", "a\x9bb", *UNSEEN])
def test_no_text_starts_a_line_or_drives_a_terminal(watched: Terminal, lines: io.StringIO, text: str) -> None:
    for stream in (watched, lines):
        log_to(stream)
        structlog.get_logger("x").warning("event", path=text)
        (line,) = stream.getvalue().splitlines()
        plain = re.sub(r"\x1b\[\d*m", "", line)  # the renderer's own colours
        assert plain.isprintable(), plain


def test_an_event_that_comes_too_often_is_left_out_and_counted() -> None:
    ticks = [0.0]
    limit = NotTooOften(lambda: ticks[0])

    def passes(event: str) -> dict[str, object] | None:
        try:
            return dict(limit(None, "", {"event": event}))
        except structlog.DropEvent:
            return None

    assert [passes("a") for _ in range(BURST + 3)] == [{"event": "a"}] * BURST + [None] * 3
    assert passes("b") == {"event": "b"}
    ticks[0] = BURST_SECONDS
    assert passes("a") == {"event": "a", "left_out": 3}
    assert passes("a") == {"event": "a"}


def test_a_line_that_cannot_be_written_stops_nobody_and_the_next_says_so() -> None:
    stream = FullDisk()
    log_to(stream)
    for _ in range(3):
        structlog.get_logger("x").info("serving")
    stream.full = False
    structlog.get_logger("x").info("serving")
    structlog.get_logger("x").info("serving")
    assert [json.loads(line).get("unwritten") for line in stream.getvalue().splitlines()] == [3, None]


@pytest.mark.parametrize(
    "shell", ["exec 2>/dev/full", "exec 2> >(:)", "exec <&- >&- 2>&-"], ids=["a full disk", "nobody", "nothing"]
)
async def test_a_service_works_whatever_is_behind_its_log(tmp_path: Path, shell: str) -> None:
    with NotifySocket(tmp_path / "notify") as systemd:
        environ = process_environ(tmp_path / "data", {"METRICS_ADMIN_KEY": ADMIN_KEY, **systemd.environ})
        program = f'{shell}\nexec "$0" -m central serve'
        service = await asyncio.create_subprocess_exec("bash", "-c", program, sys.executable, env=environ)
        await systemd.until("READY=1")
        (url,) = [word.split(" ")[1] for word in systemd.said if word.startswith("STATUS=serving ")]
        async with aiohttp.ClientSession() as http:
            central = Central(url, tmp_path, ADMIN_KEY, http)
            assert (await central.counter("a")).status == 201
            assert (await central.ask("DELETE", "/api/admin/metrics/a")).status == 200
        service.terminate()
        assert await service.wait() == 0


def test_what_an_auditor_asks_for_is_never_left_out(lines: io.StringIO) -> None:
    for number in range(3 * BURST):
        structlog.get_logger("x").info("key_created", id=number)
    assert len(lines.getvalue().splitlines()) == 3 * BURST


def test_every_event_in_the_docs_is_one_of_the_program() -> None:
    root = Path(__file__).parents[2]
    source = "".join(path.read_text() for path in (root / "central").rglob("*.py"))
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", (root / "docs" / "logs.md").read_text()))
    fields = {"request_id", "names_in_all", "left_out"}
    assert {"slow_query", "request_failed", "key_created"} <= named
    assert [name for name in named - fields if f'"{name}"' not in source and not name.startswith("fiesta_")] == []
