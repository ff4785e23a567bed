"""The commands for keys against a small fake service."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from central.access import auth
from central.commands import keys as command
from central.commands.keys import COLUMNS, SCOPES
from protocol.times import parse_time
from tests.central.commands.command_help import ADMIN_KEY, Run, ok
from tests.central.fake_service import FakeService

KEY: dict[str, Any] = {
    "id": 7,
    "name": "checkout",
    "prefix": "gf_q7w3k9x2m5ab",
    "scopes": ["ingest", "query"],
    "rate_limit": 60,
    "created_at": "2026-02-15T00:00:00Z",
    "revoked_at": None,
    "expires_at": "2027-01-01T00:00:00Z",
    "last_used_at": None,
}


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ([], {"name": "checkout"}),
        (["--rate-limit", "60"], {"name": "checkout", "rate_limit": 60}),
        (["--scope", "query", "--scope", "admin"], {"name": "checkout", "scopes": ["query", "admin"]}),
        (["--names", "shop.,web."], {"name": "checkout", "names": ["shop.", "web."]}),
    ],
)
def test_keys_create_prints_the_key_alone_on_stdout(
    run: Run, fake: FakeService, arguments: list[str], body: dict[str, Any]
) -> None:
    fake.answer("POST /api/admin/keys", 201, ok(data={**KEY, "key": "gf_secret"}))
    result = run("keys", "create", "checkout", *arguments)
    assert (result.exit_code, result.stdout) == (0, "gf_secret\n")
    assert "key 7 (checkout): ingest, query; 60 requests per minute" in result.stderr
    ((method, path, key, sent),) = fake.asked
    assert (method, path, key, json.loads(sent)) == ("POST", "/api/admin/keys", ADMIN_KEY, body)


def test_keys_rotate_prints_the_new_key_alone(run: Run, fake: FakeService) -> None:
    fake.answer("POST /api/admin/keys/7/rotate", 201, ok(data={**KEY, "key": "gf_new"}))
    assert run("keys", "rotate", "7").stdout == "gf_new\n"


def test_keys_revoke_says_when_it_takes_effect(run: Run, fake: FakeService) -> None:
    fake.answer("DELETE /api/admin/keys/7", 200, ok(message="Key revoked"))
    result = run("keys", "revoke", "7")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "", "key 7 revoked; it stops working within 30 s\n")


LAST = b'{"success":false,"error":{"code":"LAST_ADMIN_KEY","message":"the last","details":{"field":"id"}}}'


@pytest.mark.parametrize(
    ("arguments", "method"),
    [(["keys", "revoke", "7"], "DELETE"), (["keys", "change", "7", "--scope", "query"], "PATCH")],
)
def test_the_last_admin_key_goes_only_with_yes(run: Run, fake: FakeService, arguments: list[str], method: str) -> None:
    fake.answer(f"{method} /api/admin/keys/7", 409, LAST)
    fake.answer(f"{method} /api/admin/keys/7?force=true", 200, ok(message="done", data=KEY))
    refused = run(*arguments)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "key 7 is the last admin key that stays valid" in refused.stderr
    assert "give --yes" in refused.stderr
    assert run(*arguments, "--yes").exit_code == 0
    assert [(sent[0], sent[1]) for sent in fake.asked] == [
        (method, "/api/admin/keys/7"),
        (method, "/api/admin/keys/7?force=true"),
    ]


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        (["--rate-limit", "5000"], {"rate_limit": 5000}),
        (["--scope", "query", "--scope", "admin"], {"scopes": ["query", "admin"]}),
        (["--names", "shop.,web."], {"names": ["shop.", "web."]}),
        (["--names", "*"], {"names": None}),
        (["--expires", "never"], {"expires_at": None}),
        (["--expires", "2027-01-01"], {"expires_at": "2027-01-01T00:00:00Z"}),
    ],
)
def test_keys_change_sends_what_is_named(
    run: Run, fake: FakeService, arguments: list[str], body: dict[str, Any]
) -> None:
    fake.answer("PATCH /api/admin/keys/7", 200, ok(message="Key changed", data=KEY))
    result = run("keys", "change", "7", *arguments)
    assert (result.exit_code, result.stderr) == (0, "key 7 changed; it takes effect within 30 s\n")
    ((_, _, _, sent),) = fake.asked
    assert json.loads(sent) == body


def test_keys_change_of_nothing_is_a_usage_error(run: Run) -> None:
    for arguments in (
        ["change", "7"],
        ["change", "7", "--expires", "soon"],
        ["create", "a", "--expires", "5"],
        ["create", "a", "--expires", "999999999w"],
    ):
        assert run("keys", *arguments).exit_code == 2


def test_keys_list_is_a_line_a_key_with_tabs(run: Run, fake: FakeService) -> None:
    revoked = {**KEY, "id": 8, "revoked_at": "2026-02-16T00:00:00Z", "last_used_at": "2026-02-15T00:00:05Z"}
    revoked["names"] = ["shop.", "web."]
    columns = ["checkout", "gf_q7w3k9x2m5ab", "ingest,query", "60", "2026-02-15T00:00:00Z"]
    fake.answer("GET /api/admin/keys", 200, ok(data=[KEY, revoked]))
    rows = [line.split("\t") for line in run("keys", "list").stdout.splitlines()]
    assert rows == [
        list(COLUMNS),
        ["7", *columns, "-", "2027-01-01T00:00:00Z", "-", "-"],
        ["8", *columns, "2026-02-16T00:00:00Z", "2027-01-01T00:00:00Z", "2026-02-15T00:00:05Z", "shop.,web."],
    ]


def test_the_table_fits_80_columns_and_says_which_keys_are_valid() -> None:
    out = io.StringIO()
    console = Console(width=80, force_terminal=True, file=out, color_system=None)
    used = {
        **KEY,
        "last_used_at": "2026-02-15T00:00:05Z",
        "scopes": ["admin", "ingest", "query"],
        "rate_limit": 100_000,
    }
    rows = {
        "yes": {**used, "expires_at": None},
        "until": {**used, "expires_at": "2026-02-15T00:02:00Z"},
        "expired": {**used, "expires_at": "2026-02-15T00:01:00Z"},
        "revoked": {**used, "revoked_at": "2026-02-16T00:00:00Z"},
    }
    command.show(console, list(rows.values()), now=parse_time("2026-02-15T00:01:05Z"))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    cells = [[cell.strip() for cell in line.split("│")] for line in text.splitlines() if KEY["prefix"] in line]
    assert {(row[2], row[5], row[6]) for row in cells} == {("checkout", "100,000", "1m")}
    assert [row[7].split(" ")[0] for row in cells] == list(rows)
    command.show(console, [{**KEY, "names": ["shop.", "web."]}], now=0)
    assert "names" not in text
    assert "│ shop.,  │" in out.getvalue()


@pytest.mark.parametrize(
    "arguments", [["keys", "revoke", "x"], ["keys", "create", "a", "--scope", "root"], ["keys", "create"], ["query"]]
)
def test_bad_arguments_are_usage_errors(run: Run, fake: FakeService, arguments: list[str]) -> None:
    result = run(*arguments)
    assert (result.exit_code, fake.asked) == (2, [])
    assert "Usage:" in result.stderr


def test_the_scopes_offered_are_those_of_the_service() -> None:
    assert SCOPES == auth.SCOPES


@pytest.mark.parametrize(
    ("typed", "code", "asked"),
    [
        (b"y\n", 0, ["/api/admin/keys/7", "/api/admin/keys/7?force=true"]),
        (b"n\n", 1, ["/api/admin/keys/7"]),
        (b"\n", 1, ["/api/admin/keys/7"]),
        (b"\x04", 1, ["/api/admin/keys/7"]),
    ],
    ids=["yes", "no", "return", "ctrl-d"],
)
def test_on_a_terminal_the_last_admin_key_is_asked_for(
    fake: FakeService, tmp_path: Path, typed: bytes, code: int, asked: list[str]
) -> None:
    fake.answer("DELETE /api/admin/keys/7", 409, LAST)
    fake.answer("DELETE /api/admin/keys/7?force=true", 200, ok(message="Key revoked"))
    environ = {
        "METRICS_LISTEN": f"127.0.0.1:{fake.port}",
        "METRICS_DATA_DIR": str(tmp_path),
        "METRICS_ADMIN_KEY": ADMIN_KEY,
    }
    seen, ended = on_a_terminal(["-m", "central", "keys", "revoke", "7"], environ, b"Go on? [y/N]:", typed)
    assert "key 7 is the last admin key that stays valid" in seen
    assert ("key 7 revoked" in seen) is (code == 0)
    assert "Traceback" not in seen
    assert ended == code
    assert [path for _, path, *_ in fake.asked] == asked


def on_a_terminal(arguments: list[str], environ: dict[str, str], until: bytes, typed: bytes) -> tuple[str, int]:
    """Run Python on a pseudo-terminal, and type once it has shown ``until``. What was seen, and the exit code."""
    ours, its = os.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments], env={**os.environ, **environ}, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    seen = b""
    try:
        while data := os.read(ours, 4_096):
            seen += data
            if until in seen and typed:
                os.write(ours, typed)
                typed = b""
    except OSError as error:  # what Linux says when the other end has gone
        assert error.errno == errno.EIO
    finally:
        os.close(ours)
    return seen.decode(), process.wait()
