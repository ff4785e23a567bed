"""The command line against a small fake service: what it asks, what it shows and what it says on a failure."""

import errno
import json
import socket
import stat
import sys
import threading
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from central.access.key_file import write_key
from central.settings import Settings
from runtime.start_error import StartError
from runtime.systemd import Notifier
from tests.central.commands.command_help import Run, ok, refusal
from tests.central.fake_service import FakeService, serving
from tests.ports import free_port

TLS = Path(__file__).parents[2] / "data" / "tls"


# query

ANSWER = (
    b'{"success":true,"metric":"a","operation":"sum","window":"1m",'
    b'"data":[{"timestamp":"2026-02-15T00:00:00Z","value":9999999999999999.9999}]}'
)


def test_query_asks_for_the_last_hour_by_default_and_shows_every_digit(run: Run, fake: FakeService) -> None:
    fake.answer("GET /api/metrics/aggregate", 200, ANSWER)
    result = run("query", "a")
    assert result.stdout == "timestamp\ta\n2026-02-15T00:00:00Z\t9999999999999999.9999\n"
    path = fake.asked[0][1]
    assert path.startswith("/api/metrics/aggregate?name=a&operation=sum&window=1m&start=-1h&end=now")
    assert "fill" not in path


def test_query_sends_what_was_asked_for(run: Run, fake: FakeService) -> None:
    fake.answer("GET /api/metrics/aggregate", 200, ANSWER)
    times = ["--start", "2026-02-14", "--end", "2026-02-15T12:00:00+02:00"]
    run("query", "a,b", "--operation", "avg", "--window", "1d", "--fill", "null", *times)
    assert fake.asked[0][1] == (
        "/api/metrics/aggregate?name=a%2Cb&operation=avg&window=1d"
        "&start=2026-02-14T00%3A00%3A00Z&end=2026-02-15T10%3A00%3A00Z&fill=null"
    )


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (["--operation", "p50,p99.9"], "operation=p50%2Cp99.9"),
        (["--fraction-below", "300"], "fraction_below=300"),
        (["--operation", "count", "--fraction-below", "-1"], "operation=count&fraction_below=-1"),
    ],
)
def test_query_asks_for_percentiles_and_for_shares(run: Run, fake: FakeService, options: list[str], asked: str) -> None:
    fake.answer("GET /api/metrics/aggregate", 200, ANSWER)
    run("query", "a", *options)
    assert fake.asked[0][1].startswith(f"/api/metrics/aggregate?name=a&{asked}&window=1m&start=")


def test_query_asks_for_series_by_their_tags(run: Run, fake: FakeService) -> None:
    groups = [{"metric": "a", "tags": {"env": "prod"}, "points": [{"timestamp": "2026-02-15T00:00:00Z", "value": 3}]}]
    answer = {"success": True, "metric": "a", "operation": "sum", "window": "1m", "data": groups}
    fake.answer("GET /api/metrics/aggregate", 200, json.dumps(answer).encode())
    result = run("query", "a", "--tags", "host:web-*,!canary:*", "--group-by", "env", "--top", "5")
    assert result.stdout == "timestamp\tenv:prod\n2026-02-15T00:00:00Z\t3\n"
    assert fake.asked[0][1].endswith("&tags=host%3Aweb-%2A%2C%21canary%3A%2A&group_by=env&top=5")


def test_query_shows_what_the_service_says_about_bad_tags(run: Run, fake: FakeService) -> None:
    fake.answer(
        "GET /api/metrics/aggregate", 400, refusal("VALIDATION_ERROR", "tags has 'env'; a condition is key:value")
    )
    result = run("query", "a", "--tags", "env")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: tags has 'env'; a condition is key:value (VALIDATION_ERROR)\n"


@pytest.mark.parametrize("text", ["p101", "", "sum,,avg", "mean", "sum,sum"])
def test_query_with_a_bad_operation_says_what_would_be_right(run: Run, fake: FakeService, text: str) -> None:
    result = run("query", "a", "--operation", text)
    assert (result.exit_code, fake.asked) == (2, [])
    assert "Invalid value for '--operation':" in result.stderr
    assert "give each once" in result.stderr or "several are separated by commas" in result.stderr


def test_query_json_is_the_answer_as_it_came(run: Run, fake: FakeService) -> None:
    fake.answer("GET /api/metrics/aggregate", 200, ANSWER)
    assert run("query", "a", "--json").stdout == ANSWER.decode() + "\n"


def test_query_with_a_bad_time_says_what_would_be_right(run: Run, fake: FakeService) -> None:
    result = run("query", "a", "--start", "yesterday")
    assert (result.exit_code, fake.asked) == (2, [])
    assert "'yesterday' is not a time; give 'now', -1h for an hour ago, or 2026-02-15T00:00:00Z" in result.stderr


# backup


def test_backup_writes_the_file_whole_and_private(run: Run, fake: FakeService, tmp_path: Path) -> None:
    fake.answer("GET /api/admin/backup", 200, b"database" * 1000)
    target = tmp_path / "copy"
    result = run("backup", str(target))
    assert (result.exit_code, result.stderr) == (0, f"8000 bytes written to {target}\n")
    assert target.read_bytes() == b"database" * 1000
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_backup_cut_short_leaves_nothing(run: Run, fake: FakeService, tmp_path: Path) -> None:
    fake.answer("GET /api/admin/backup", 200, b"half", Content_Length="8")
    result = run("backup", str(tmp_path / "copy"))
    assert (result.exit_code, list(tmp_path.iterdir())) == (1, [])
    assert "broke off in the middle" in result.stderr


def test_backup_never_replaces_a_file(run: Run, fake: FakeService, tmp_path: Path) -> None:
    target = tmp_path / "copy"
    target.write_text("mine")
    result = run("backup", str(target))
    assert (result.exit_code, target.read_text(), fake.asked) == (1, "mine", [])
    assert "exists already: name a new file" in result.stderr


def test_backup_into_a_folder_that_is_not_there(run: Run, fake: FakeService, tmp_path: Path) -> None:
    fake.answer("GET /api/admin/backup", 200, b"database")
    result = run("backup", str(tmp_path / "no" / "copy"))
    assert result.exit_code == 1
    assert "cannot be written: No such file or directory" in result.stderr


# what can go wrong


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, refusal("UNAUTHORIZED", "no"), "does not accept the key of METRICS_ADMIN_KEY: check that"),
        (403, refusal("FORBIDDEN", "this key lacks the scope"), "this key lacks the scope (FORBIDDEN)"),
        (429, refusal("RATE_LIMITED", "too many"), "too many; try again in 9 s (RATE_LIMITED)"),
        (503, refusal("SERVICE_UNAVAILABLE", "busy"), "busy; try again in 9 s"),
        (502, b"<html>proxy</html>", "is not the service: check METRICS_LISTEN"),
        (404, b'{"error":"other"}', "is not the service: check METRICS_LISTEN"),
        (200, b"<html>", "is not the service: check METRICS_LISTEN"),
        (302, b"", "is not the service: check METRICS_LISTEN"),
    ],
)
def test_a_refusal_is_one_clear_line(run: Run, fake: FakeService, status: int, body: bytes, says: str) -> None:
    fake.answer("GET /api/admin/keys", status, body, Retry_After="9", Location="/elsewhere")
    result = run("keys", "list")
    assert (result.exit_code, result.stdout, len(result.stderr.splitlines())) == (1, "", 1)
    assert result.stderr.startswith("Error: ")
    assert says in result.stderr


def test_no_service_at_the_address(run: Run) -> None:
    result = run("keys", "list", METRICS_LISTEN=f"127.0.0.1:{free_port()}")
    assert result.exit_code == 1
    assert "start it with 'fiesta-central serve'" in result.stderr


def test_something_that_does_not_speak_http(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        def hang_up() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")

        thread = threading.Thread(target=hang_up)
        thread.start()
        result = run("keys", "list", METRICS_LISTEN=f"127.0.0.1:{port}")
        thread.join()
    assert (result.exit_code, "is not the service" in result.stderr) == (1, True)


def test_the_key_comes_from_the_data_folder(run: Run, fake: FakeService, tmp_path: Path) -> None:
    fake.answer("GET /api/admin/keys", 200, ok(data=[]))
    write_key(tmp_path / "admin.key", "gf_from_the_file")
    assert run("keys", "list", METRICS_ADMIN_KEY=None).exit_code == 0
    assert fake.asked[0][2] == "gf_from_the_file"


def test_no_key_file(run: Run) -> None:
    result = run("keys", "list", METRICS_ADMIN_KEY=None)
    assert result.exit_code == 1
    assert "start the service once ('fiesta-central serve' writes it)" in result.stderr


def test_a_key_file_that_holds_no_text(run: Run, tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_bytes(b"\xff\xfe")
    result = run("keys", "list", METRICS_ADMIN_KEY=None)
    assert (result.exit_code, "cannot be read" in result.stderr) == (1, True)


def test_port_0_tells_nobody_where_the_service_is(run: Run) -> None:
    assert "set the port that it uses" in run("keys", "list", METRICS_LISTEN="127.0.0.1:0").stderr


def test_bad_settings_are_listed_and_the_exit_code_is_2(run: Run) -> None:
    result = run("serve", METRICS_LISTEN="x", METRICS_MAX_NAMES="0")
    assert result.exit_code == 2
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [
        ["Error:", "METRICS_LISTEN"],
        ["Error:", "METRICS_MAX_NAMES"],
    ]


# TLS


def test_the_service_is_known_by_its_own_certificate(run: Run) -> None:
    ours = (TLS / "cert.pem", TLS / "key.pem")
    with serving(tls=ours) as secure:
        secure.answer("GET /api/admin/keys", 200, ok(data=[]))
        result = run(
            "keys",
            "list",
            METRICS_LISTEN=f"127.0.0.1:{secure.port}",
            METRICS_TLS_CERT=str(ours[0]),
            METRICS_TLS_KEY=str(ours[1]),
        )
    assert result.exit_code == 0, result.stderr


def test_another_certificate_never_sees_the_key(run: Run) -> None:
    with serving(tls=(TLS / "other_cert.pem", TLS / "other_key.pem")) as other:
        result = run(
            "keys",
            "list",
            METRICS_LISTEN=f"127.0.0.1:{other.port}",
            METRICS_TLS_CERT=str(TLS / "cert.pem"),
            METRICS_TLS_KEY=str(TLS / "key.pem"),
        )
    assert (result.exit_code, other.asked) == (1, [])
    assert "does not show the certificate of METRICS_TLS_CERT" in result.stderr


# serve and migrate


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """In the place of central.app: its contract without its work."""
    module = types.ModuleType("central.app")
    module.Outside = lambda notify: notify  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "central.app", module)
    monkeypatch.setattr("central.app", module, raising=False)
    return module


def raising(error: Exception) -> Callable[..., Any]:
    async def serve(_: object, *, outside: Notifier) -> None:
        raise error

    return serve


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (StartError("the folder is in use"), "the folder is in use"),
        (OSError(errno.EADDRINUSE, "taken"), "is in use by another program: stop it, or choose another address with"),
        (OSError(errno.EADDRNOTAVAIL, "not here"), "is not an address of this host"),
        (OSError(errno.EACCES, "Permission denied", "/data"), "/data: Permission denied: check METRICS_DATA_DIR"),
        (OSError(errno.EACCES, "Permission denied"), "cannot start on 127.0.0.1:"),
    ],
)
def test_serve_says_in_one_line_why_it_cannot(run: Run, app: types.ModuleType, error: Exception, says: str) -> None:
    app.serve = raising(error)  # type: ignore[attr-defined]
    result = run("serve")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert says in result.stderr


def test_serve_ends_well(run: Run, app: types.ModuleType) -> None:
    seen = []

    async def serve(settings: object, *, outside: Notifier) -> None:
        seen.append(settings)
        assert not outside.active

    app.serve = serve  # type: ignore[attr-defined]
    assert (run("serve").exit_code, len(seen)) == (0, 1)


@pytest.mark.parametrize(
    ("applied", "stdout", "stderr"),
    [
        (["0001_initial", "0002_more"], "0001_initial\n0002_more\n", "2 applied\n"),
        ([], "", "nothing to apply: the database is up to date\n"),
    ],
)
def test_migrate_prints_what_it_applied(
    run: Run, app: types.ModuleType, applied: list[str], stdout: str, stderr: str
) -> None:
    app.migrate = lambda *_: applied  # type: ignore[attr-defined]
    result = run("migrate")
    assert (result.exit_code, result.stdout, result.stderr) == (0, stdout, stderr)


@pytest.mark.parametrize("error", [StartError("locked"), OSError(errno.EACCES, "no", "/data")])
def test_migrate_says_in_one_line_why_it_cannot(run: Run, app: types.ModuleType, error: Exception) -> None:
    def migrate(*_: object) -> list[str]:
        raise error

    app.migrate = migrate  # type: ignore[attr-defined]
    result = run("migrate")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)


def test_what_nobody_foresaw_is_one_line_of_the_log_without_secrets(
    run: Run, app: types.ModuleType, logging_as_it_was: None, capfd: pytest.CaptureFixture[str]
) -> None:
    def migrate(settings: Settings, _: object) -> list[str]:
        raise RuntimeError(f"{settings.db_password}, {settings.admin_key}")

    app.migrate = migrate  # type: ignore[attr-defined]
    result = run("migrate", DB_PASSWORD="canary of the database", METRICS_ADMIN_KEY="canary" * 6)
    (line,) = (result.stderr + capfd.readouterr().err).splitlines()
    entry = json.loads(line)
    assert (result.exit_code, entry["event"], entry["level"]) == (1, "crashed", "error")
    assert "RuntimeError: ***, ***" in entry["exception"]
    assert "canary" not in line
