"""The command line as a person meets it: never a traceback, always what to do."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

from agent.spool.browse import list_spool
from tests.agent.fakes import KEY, RealCentral, a_batch, a_spool, put
from tests.agent.process import AgentProcess, an_agent, environment
from tests.notify_socket import NotifySocket
from tests.patience import PATIENCE


class Run:
    """What a command said and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err
        assert "Traceback" not in out + err
        assert KEY not in out + err


async def fiesta(folder: Path, *arguments: str, url: str = "http://127.0.0.1:1", **settings: str) -> Run:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "agent",
        *arguments,
        env=environment(folder, url, **settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Run(process.returncode, out.decode(), err.decode())


def at(agent: AgentProcess) -> dict[str, str]:
    return {"UDP": f"127.0.0.1:{agent.udp}", "HTTP": f"127.0.0.1:{agent.http}"}


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port on which nobody listens, TCP or UDP; bound so that nobody will."""
    with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        udp.connect(("127.0.0.1", 9))  # takes from nobody else
        yield tcp.getsockname()[1]


async def test_help_has_examples(tmp_path: Path) -> None:
    run = await fiesta(tmp_path, "--help")
    assert run.code == 0
    for word in ("check", "run", "status", "send", "spool", "FIESTA_AGENT_CENTRAL_URL", "orders.paid:1|c"):
        assert word in run.out


@pytest.mark.parametrize("command", ["run", "check", "status", "spool ls", "send a:1|c"])
async def test_all_bad_settings_are_reported_and_the_exit_code_is_2(tmp_path: Path, command: str) -> None:
    run = await fiesta(tmp_path, *command.split(" "), FLUSH_INTERVAL="7", TCP="nowhere")
    assert run.code == 2
    assert [line.split(" ")[1] for line in run.err.splitlines()] == [
        "FIESTA_AGENT_FLUSH_INTERVAL",
        "FIESTA_AGENT_TCP",
    ]


async def test_a_missing_key_is_reported(tmp_path: Path) -> None:
    for settings in ({"API_KEY": ""}, {"API_KEY": "", "API_KEY_FILE": str(tmp_path / "none")}):
        run = await fiesta(tmp_path, "run", **settings)
        assert run.code == 2
        assert "API_KEY" in run.err
        assert len(run.err.splitlines()) == 1


async def test_a_locked_spool_and_a_port_in_use_are_one_line(tmp_path: Path) -> None:
    async with an_agent(tmp_path, "http://127.0.0.1:1") as agent:
        locked = await fiesta(tmp_path, "run")
        assert (locked.code, len(locked.err.splitlines())) == (1, 1)
        assert f"{tmp_path} is in use by another agent" in locked.err
        taken = await fiesta(tmp_path / "other", "run", HTTP=f"127.0.0.1:{agent.http}")
        assert (taken.code, len(taken.err.splitlines())) == (1, 1)
        assert f"HTTP 127.0.0.1:{agent.http} cannot be used: " in taken.err


@pytest.mark.parametrize(
    ("shell", "number", "goes_on"),
    [
        ("exec 2>/dev/full", signal.SIGTERM, False),
        ("exec 2> >(:)", signal.SIGTERM, False),
        ("exec <&- >&- 2>&-", signal.SIGTERM, False),
        ("", signal.SIGHUP, True),
        ("trap '' HUP", signal.SIGHUP, True),
    ],
    ids=["a full disk", "nobody", "nothing", "a reload", "nohup"],
)
async def test_an_agent_works_with_any_log_and_ends_at_a_signal(
    tmp_path: Path, shell: str, number: signal.Signals, goes_on: bool
) -> None:
    path = str(tmp_path / "lines")
    with NotifySocket(tmp_path / "notify") as systemd:
        process = await asyncio.create_subprocess_exec(
            *("env", "--default-signal=HUP"),  # the tests may themselves run under nohup
            *("bash", "-c", f'{shell}\nexec "$0" -m agent run', sys.executable),
            env=environment(tmp_path / "spool", "http://127.0.0.1:1", UNIX=path) | systemd.environ,
        )
        await systemd.until("READY=1")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"a:1|c", path)
        await systemd.until("STATUS=healthy. 1 sample received")
        process.send_signal(number)
        if goes_on:
            await systemd.again("STATUS=")
            process.terminate()
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
    ((listed),) = list_spool(tmp_path / "spool")
    assert listed.samples == 1


@pytest.mark.parametrize("shell", ["", "trap '' HUP"], ids=["plain", "nohup"])
async def test_an_agent_ends_with_its_terminal_unless_under_nohup(tmp_path: Path, shell: str) -> None:
    ours, terminal = os.openpty()
    with NotifySocket(tmp_path / "notify") as systemd:
        process = await asyncio.create_subprocess_exec(
            *("env", "--default-signal=HUP", "setsid", "--ctty"),
            *("bash", "-c", f'{shell}\nexec "$0" -m agent run', sys.executable),
            env=environment(tmp_path / "spool", "http://127.0.0.1:1") | systemd.environ,
            stdin=terminal,
            stderr=asyncio.subprocess.DEVNULL,
        )
        os.close(terminal)
        await systemd.until("READY=1")
        os.close(ours)  # the window of the terminal is closed
        if shell:
            await systemd.again("STATUS=")
            process.terminate()
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0


async def test_a_config_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("max_names = 0\n")
    run = await fiesta(tmp_path, "spool", "ls", "--config", str(tmp_path / "agent.toml"))
    assert run.code == 2
    assert "max_names (in " in run.err


async def test_status_shows_a_line_that_was_sent(tmp_path: Path) -> None:
    async with RealCentral().serving() as central, an_agent(tmp_path, central) as agent:
        sent = await fiesta(tmp_path, "send", "foo:1|c", "bar:2|g\nbaz:3|ms", **at(agent))
        assert (sent.code, sent.out) == (0, f"sent 3 lines to UDP 127.0.0.1:{agent.udp}\n")
        await central.until(lambda: {"foo", "bar", "baz"} <= central.times_stored().keys())
        shown = await fiesta(tmp_path, "status", **at(agent))
        assert shown.code == 0
        assert "nothing was lost" in shown.out
        assert "healthy" in shown.out
        assert any(line.split()[:2] == ["received", "3"] for line in shown.out.splitlines())


async def test_a_wrong_line_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    run = await fiesta(tmp_path, "send", "foo:1|c", "foo:one|c")
    assert run.code == 2
    assert "'foo:one|c'" in run.err
    assert "nothing was sent" in run.err


async def test_an_agent_that_does_not_answer_is_reported(tmp_path: Path, free_port: int) -> None:
    address = f"127.0.0.1:{free_port}"
    sent = await fiesta(tmp_path, "send", "foo:1|c", UDP=address)
    assert (sent.code, "does the agent run" in sent.err) == (1, True)
    shown = await fiesta(tmp_path, "status", HTTP=address)
    assert (shown.code, "no agent answers" in shown.err) == (1, True)


async def test_status_reports_an_answer_of_another_program(tmp_path: Path) -> None:
    async with RealCentral().serving() as central:
        run = await fiesta(tmp_path, "status", HTTP=central.url.removeprefix("http://"))
    assert (run.code, "is not an agent" in run.err) == (1, True)


def verdicts(out: str) -> Iterator[str]:
    """Of each line but that of the UDP socket, which depends on the host."""
    for line in out.splitlines():
        verdict, what = line.split(maxsplit=1)
        if not what.startswith("UDP "):
            yield verdict


async def test_check_says_what_is_good(tmp_path: Path) -> None:
    async with RealCentral().serving() as central:
        run = await fiesta(tmp_path, "check", url=central.url)
    assert run.code == 0
    # Windows of a second with up to 100,000 names could be more than a key has.
    assert [*verdicts(run.out)] == ["ok"] * 6 + ["warn"]
    assert "enough for 8 such hosts" in run.out


async def test_check_says_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with RealCentral().serving() as central:
        run = await fiesta(tmp_path / "file", "check", url=central.url, API_KEY="wrong")
        assert run.code == 1
        assert [*verdicts(run.out)] == ["ok", "FAIL", "ok", "ok", "FAIL"]
    run = await fiesta(tmp_path, "check", url="https://127.0.0.1:1", CA_FILE=str(tmp_path / "none"))
    assert run.code == 1
    assert "CA_FILE" in run.out


async def test_dead_letters_are_listed_and_replayed_beside_a_running_agent(tmp_path: Path) -> None:
    async with RealCentral().serving() as central:
        error = {"success": False, "error": {"code": "METRIC_TYPE_CONFLICT", "message": "no"}}
        central.answer = lambda request: web.json_response(error, status=400)
        async with an_agent(tmp_path, central) as agent:
            agent.send(["foo:1|c"])
            await agent.until("dead_letter")
            listed = await fiesta(tmp_path, "spool", "ls")
            assert listed.code == 0
            assert "METRIC_TYPE_CONFLICT" in listed.out
            assert "dead_letter" in (await fiesta(tmp_path, "status", **at(agent))).out
            central.answer = lambda request: None
            replayed = await fiesta(tmp_path, "spool", "replay")
            assert replayed.code == 0
            assert replayed.out.startswith("1 batch will be sent again")
            assert (await fiesta(tmp_path, "spool", "replay")).out == "there is nothing to send again\n"
            await central.until(lambda: central.total("foo") == 1)


async def test_a_spool_folder_that_cannot_be_listed_is_reported(tmp_path: Path) -> None:
    spool, ledger = a_spool(tmp_path)
    spool.open()
    await put(spool, ledger, a_batch())
    spool.close()
    entry = next((tmp_path / "queue").iterdir())
    (tmp_path / "dead" / entry.name.replace(".batch", ".X.dead")).mkdir()
    (tmp_path / "replay").rmdir()
    (tmp_path / "replay").write_text("")
    for folder, command in ((tmp_path, "replay"), *((tmp_path / "none", name) for name in ("ls", "replay"))):
        run = await fiesta(folder, "spool", command)
        assert run.code == 1
        assert f"the spool folder {folder} cannot be used" in run.err


async def test_a_proxy_that_is_asked_for_ends_the_start_with_a_sentence(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "agent", "run"),
        env=environment(tmp_path, "https://metrics.internal") | {"HTTPS_PROXY": "http://proxy.internal:3128"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err.decode().startswith("fiesta-agent: HTTPS_PROXY asks for a proxy on the way to metrics.internal")


def test_the_console_script_is_there() -> None:
    script = Path(sys.executable).with_name("fiesta-agent")
    done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert "Usage: fiesta-agent" in done.stdout


async def test_the_command_reads_files_and_standard_input_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "captured").write_bytes(b"a b:1|c\nc:1|c\r\n")
    run = await fiesta(tmp_path, "explain", str(tmp_path / "captured"))
    assert (run.code, run.err) == (0, "")
    assert "2 lines: 2 values count" in run.out
    assert "'a b' -> a_b" in run.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give captured files, or --listen HOST:PORT"),
        (["--listen", "nowhere"], "--listen 'nowhere' is not host:port"),
        (["missing"], "missing"),
    ],
)
async def test_wrong_input_is_explained(tmp_path: Path, arguments: list[str], says: str) -> None:
    run = await fiesta(tmp_path, "explain", *arguments)
    assert run.code == 2
    assert says in run.err
