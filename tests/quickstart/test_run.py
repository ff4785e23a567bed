"""quickstart: what ``make run`` checks, prints, starts and stops; with real processes and sockets."""

import asyncio
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from central.client import Target
from central.settings import load_settings
from quickstart.plan import Plan, agent_settings, greeting, make_plan
from quickstart.run import Child, answers, stopped
from runtime.start_error import StartError
from tests.patience import PATIENCE

TLS = Path(__file__).parents[1] / "data" / "tls"
ANY_PORTS = {
    "METRICS_LISTEN": "127.0.0.1:0",
    "FIESTA_AGENT_UDP": "127.0.0.1:0",
    "FIESTA_AGENT_HTTP": "127.0.0.1:0",
}


def plan_for(**environ: str) -> Plan:
    given = {**ANY_PORTS, **environ}
    return make_plan(load_settings(given), given)


# The plan


def test_port_0_becomes_a_port_that_children_can_be_told() -> None:
    plan = plan_for()
    ports = [plan.settings.listen[1], plan.udp[1], plan.http[1]]
    assert all(ports)
    assert plan.central_environ == {"METRICS_LISTEN": f"127.0.0.1:{ports[0]}"}
    assert agent_settings(plan, {})["FIESTA_AGENT_UDP"] == f"127.0.0.1:{ports[1]}"


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("METRICS_LISTEN", socket.SOCK_STREAM),
        ("FIESTA_AGENT_UDP", socket.SOCK_DGRAM),
        ("FIESTA_AGENT_HTTP", socket.SOCK_STREAM),
    ],
)
def test_a_port_in_use_is_named_with_the_setting_to_change(setting: str, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            StartError, match=rf"port {port} \(127.0.0.1:{port}\) is in use: stop .*{setting}=127.0.0.1:"
        ):
            plan_for(**{setting: f"127.0.0.1:{port}"})


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"FIESTA_AGENT_UDP": "8125"}, "FIESTA_AGENT_UDP is '8125'; it must be host:port"),
        ({"FIESTA_AGENT_UDP": "192.0.2.1:8125"}, "cannot be used (Cannot assign requested address)"),
    ],
)
def test_an_address_that_is_none_stops_before_anything_starts(environ: dict[str, str], says: str) -> None:
    with pytest.raises(StartError) as caught:
        plan_for(**environ)
    assert says in str(caught.value)


def test_a_name_nobody_knows_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)  # without asking a name server
    with pytest.raises(
        StartError, match="METRICS_LISTEN localhost:0 is not a valid address: Name or service not known"
    ):
        plan_for(METRICS_LISTEN="localhost:0")


def test_the_agent_is_set_up_for_this_central_unless_you_say_otherwise() -> None:
    plan = plan_for(METRICS_DATA_DIR="/data")
    fitting = agent_settings(plan, {})
    assert fitting["FIESTA_AGENT_CENTRAL_URL"] == plan.settings.url
    assert fitting["FIESTA_AGENT_SPOOL_DIR"] == "/data/spool"
    assert fitting["FIESTA_AGENT_API_KEY_FILE"] == "/data/quickstart.key"
    own = {"FIESTA_AGENT_CENTRAL_URL": "http://[::1]:1", "FIESTA_AGENT_SPOOL_DIR": "/s", "FIESTA_AGENT_API_KEY": "gf_"}
    variables = agent_settings(plan, own)
    assert (variables["FIESTA_AGENT_CENTRAL_URL"], variables["FIESTA_AGENT_SPOOL_DIR"]) == ("http://[::1]:1", "/s")
    assert "FIESTA_AGENT_API_KEY_FILE" not in variables


def test_with_tls_the_agent_and_curl_trust_the_certificate() -> None:
    plan = plan_for(METRICS_TLS_CERT=str(TLS / "cert.pem"), METRICS_TLS_KEY=str(TLS / "key.pem"))
    assert agent_settings(plan, {})["FIESTA_AGENT_CA_FILE"] == str(TLS / "cert.pem")
    assert "--cacert" in greeting(plan, "gf_k", 0)
    assert plan.settings.url.startswith("https://")


# The greeting


def words_of_curl(text: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.strip().startswith("curl ")]
    return shlex.split(line)


@pytest.mark.parametrize(
    "now",
    [
        datetime(2026, 2, 15, 0, 0, 0, tzinfo=UTC),
        datetime(2026, 2, 15, 0, 59, 59, tzinfo=UTC),
        datetime(2026, 2, 15, 12, 0, 0, tzinfo=UTC),
        datetime(2026, 2, 15, 23, 59, 59, tzinfo=UTC),
    ],
)
def test_the_curl_asks_for_a_range_that_still_holds_an_hour_later(now: datetime) -> None:
    words = words_of_curl(greeting(plan_for(), "gf_k", now.timestamp()))
    (address,) = [word for word in words if word.startswith("http")]
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    start, end = (datetime.fromisoformat(query[bound]) for bound in ("start", "end"))
    assert (now - start).total_seconds() >= 3600 or start.hour == 0
    assert (end - now).total_seconds() > 86_400
    assert (query["name"], query["operation"]) == ("shop.orders", "sum")


def test_the_greeting_says_what_to_try_in_order() -> None:
    plan = plan_for()
    text = greeting(plan, "gf_k", 0)
    wanted = [
        "gf_k",
        f"{plan.settings.url}/ ",
        f"{plan.settings.url}/docs",
        "fiesta-agent send 'shop.orders:1|c'",
        "nc -u",
        "answer within 10 s",
        "fiesta-central query shop.orders",
        "curl",
        "fiesta-agent check",
    ]
    assert sorted(wanted, key=text.index) == wanted
    assert f"FIESTA_AGENT_UDP=127.0.0.1:{plan.udp[1]} " in text
    assert words_of_curl(text)[1:3] == ["-H", "X-API-Key: gf_k"]


def test_the_usual_port_needs_no_setting_in_the_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(sys.executable).parents[2]
    monkeypatch.chdir(folder)
    text = greeting(plan_for()._replace(udp=("127.0.0.1", 8125), flush_seconds="1"), "gf_k", 0)
    assert f"\n   {Path(sys.executable).parent.relative_to(folder)}/fiesta-agent send 'shop.orders:1|c'\n" in text
    assert "answer within 2 s" in text


# Children


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"


async def child_of(script: str) -> Child:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    return Child("central", process)


async def test_a_child_that_does_not_stop_is_killed_and_that_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    child = await child_of(STUBBORN)
    assert child.process.stdout is not None
    assert await child.process.stdout.readline() == b"up\n"
    assert not await stopped(child, seconds=0.01)
    assert child.process.returncode == -signal.SIGKILL
    assert capsys.readouterr().err == "Error: central did not stop within 0.01 s and was killed\n"


async def test_a_child_that_never_answers_is_given_up() -> None:
    child = await child_of(STUBBORN)
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))  # bound and not listening: every try is refused
        with pytest.raises(StartError, match="central does not answer at http"):
            await answers(child, Target(f"http://127.0.0.1:{silent.getsockname()[1]}", "", ""), tries=2)
    child.process.kill()
    await child.process.wait()


# The whole, for real


QUICKSTART = (sys.executable, "-m", "quickstart.run")


class Running:
    """A quickstart in a folder of its own."""

    def __init__(self, folder: Path, command: Sequence[str] = QUICKSTART, **environ: str) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("METRICS_", "FIESTA_", "DB_"))}
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env={**kept, **ANY_PORTS, "FIESTA_AGENT_FLUSH_INTERVAL": "1", **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def read_until(self, mark: str) -> str:
        """Everything printed up to the line that holds ``mark``; fails when the process ends before."""
        assert self.process.stdout is not None
        seen = ""
        for line in self.process.stdout:
            seen += line
            if mark in line:
                return seen
        raise AssertionError(f"{mark!r} was not printed:\n{seen}")

    def children(self) -> list[int]:
        """The process ids of central and the agent, in the order of their start."""
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(word) for word in text.split()]

    def finish(self) -> tuple[int, str]:
        """Exit code and the rest of the output."""
        rest, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, rest

    def close(self) -> None:
        """Nothing outlives a test that failed."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate(timeout=PATIENCE)


Start = Callable[..., Running]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda **environ: stack.enter_context(closing(Running(tmp_path, **environ)))


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def ask(text: str) -> str:
    """What the printed curl would get."""
    words = words_of_curl(text)
    name, _, value = words[2].partition(": ")
    with urllib.request.urlopen(urllib.request.Request(words[3], headers={name: value})) as answer:
        return str(answer.read().decode())


def send(text: str, line: str) -> None:
    """Send a line where the printed nc command would."""
    (command,) = [line for line in text.splitlines() if "nc -u" in line]
    host, port = command.split()[-2:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(line.encode(), (host, int(port)))


def test_what_was_sent_before_ctrl_c_is_there_in_the_next_run(start: Start, tmp_path: Path) -> None:
    first = start()
    text = first.read_until("curl -H")
    children = first.children()
    assert len(children) == 2
    send(text, "shop.orders:1|c\nshop.orders:2|c")
    first.process.send_signal(signal.SIGINT)
    code, rest = first.finish()
    assert (code, "Stopped. The data stays in data." in rest) == (0, True)
    assert not any(alive(pid) for pid in children)
    key_file = tmp_path / "data" / "quickstart.key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600

    second = start()
    again = second.read_until("curl -H")
    assert words_of_curl(again)[2] == words_of_curl(text)[2] == f"X-API-Key: {key_file.read_text().strip()}"
    assert '"value":3}' in ask(again)
    second.process.send_signal(signal.SIGTERM)
    assert second.finish()[0] == 0


def test_every_printed_command_works_as_it_is_printed(start: Start, tmp_path: Path) -> None:
    running = start()
    text = running.read_until("fiesta-agent check")
    commands = [line.strip() for line in text.splitlines() if "/bin/fiesta-" in line]
    assert [shlex.split(command)[-2:] for command in commands] == [
        ["send", "shop.orders:1|c"],
        ["query", "shop.orders"],
        [commands[2].split()[-2], "check"],
    ]
    for command in commands:
        done = subprocess.run(command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    running.process.send_signal(signal.SIGTERM)
    assert running.finish()[0] == 0


def test_a_key_that_works_no_more_is_replaced(start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "quickstart.key").write_text("gf_of_other_data\n")
    running = start()
    text = running.read_until("curl -H")
    assert "gf_of_other_data" not in text
    assert '"success":true' in ask(text)


@pytest.mark.parametrize(("victim", "name"), [(0, "central"), (1, "agent")])
def test_when_one_child_dies_the_other_is_stopped(start: Start, victim: int, name: str) -> None:
    running = start()
    running.read_until("curl -H")
    children = running.children()
    os.kill(children[victim], signal.SIGKILL)
    code, rest = running.finish()
    assert code == 1
    assert f"Error: {name} ended by itself (exit code -9)" in rest
    assert not any(alive(pid) for pid in children)


def test_the_children_end_with_a_quickstart_that_is_killed(start: Start) -> None:
    running = start()
    running.read_until("curl -H")
    running.process.kill()
    code, rest = running.finish()  # the children hold the output: it ends with them
    assert (code, rest.count('"event": "stopped"')) == (-signal.SIGKILL, 2), rest


def test_all_end_with_a_make_that_is_killed(start: Start, tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text(f"run:\n\t@{shlex.join(QUICKSTART)}\n")
    running = start(command=("make", "run"))
    running.read_until("curl -H")
    running.process.kill()
    code, rest = running.finish()
    assert (code, "Stopped. The data stays in data." in rest) == (-signal.SIGKILL, True), rest


def test_an_agent_that_cannot_start_takes_central_with_it(start: Start) -> None:
    running = start(FIESTA_AGENT_TAGS="maybe")
    code, text = running.finish()
    assert code == 1
    assert "FIESTA_AGENT_TAGS" in text
    assert "Error: agent did not start (exit code 2); its log is above" in text
    assert "Traceback" not in text


def test_central_that_cannot_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "fiesta.duckdb").write_bytes(b"this is no database" * 1000)
    code, text = start().finish()
    assert code == 1
    assert "Error: central did not start (exit code 1); its log is above" in text


def test_a_signal_in_the_middle_of_the_start_leaves_nothing_behind(start: Start) -> None:
    running = start()
    running.read_until("serving")
    running.process.send_signal(signal.SIGTERM)
    code, rest = running.finish()
    assert (code, "Stopped." in rest) == (0, True)


@pytest.mark.parametrize(
    ("environ", "code", "says"),
    [
        ({"METRICS_LISTEN": "x", "METRICS_MAX_NAMES": "0"}, 2, "METRICS_MAX_NAMES is '0'"),
        ({"FIESTA_AGENT_UDP": "x"}, 1, "FIESTA_AGENT_UDP is 'x'"),
    ],
)
def test_bad_settings_stop_it_before_anything_starts(
    start: Start, tmp_path: Path, environ: dict[str, str], code: int, says: str
) -> None:
    ended, text = start(**environ).finish()
    assert (ended, says in text, list(tmp_path.iterdir())) == (code, True, [])
