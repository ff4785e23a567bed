"""The command line: reads arguments, calls, prints. Exit code 1: something does not work. 2: the input is wrong."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import wraps
from inspect import signature
from pathlib import Path
from typing import IO, Any, NoReturn

import click
import uvloop

from agent.aggregate.compiled import OUTDATED
from agent.app import Agent, Outside, steady_time
from agent.attempts import Tell
from agent.commands.check import Finding, Sends, Sockets, check_central, check_sockets, check_spool
from agent.commands.completion import SHELLS, script
from agent.commands.explain import Explanation, lines_from_udp
from agent.commands.explain import explain as explain_lines
from agent.commands.explain import render as render_explanation
from agent.commands.send_lines import faults
from agent.commands.send_lines import send as send_lines
from agent.forward.api_key import ApiKey, BadKeyError
from agent.forward.http_connection import HttpConnection
from agent.forward.proxy import refuse_proxy
from agent.forward.schedule import host_name, share_of
from agent.forward.send import Sender
from agent.receive.activation import passed_sockets
from agent.receive.gauge_signs import common_sign
from agent.receive.socket_status import limits
from agent.settings import Settings, load_settings
from agent.spool.browse import list_spool
from agent.spool.browse import replay as replay_dead
from agent.spool.disk import Disk
from agent.telemetry.log import AtLevel, log_to, not_too_often
from agent.telemetry.status_text import counted, render
from protocol.times import format_time
from runtime.addresses import from_this_host, join_address, split_address
from runtime.compiled_core import OUTDATED_MESSAGE
from runtime.log_lines import standard_error
from runtime.output import careful_output
from runtime.redact import one_line
from runtime.settings import SettingsError
from runtime.start_error import StartError, starting
from runtime.systemd import Notifier, send_datagram

_config = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A TOML file of settings; FIESTA_AGENT_* variables win over it.",
)


def _settled(command: Callable[..., Any]) -> Callable[..., Any]:
    """Pass the settings to a command that has --config. If they have faults, print each on one line and end."""

    @_config
    @wraps(command)
    def wrapped(config: Path | None, **rest: Any) -> Any:
        try:
            settings = load_settings(os.environ, config)
        except SettingsError as error:
            _fail(str(error), code=2)
        if "config" in signature(command).parameters:
            rest["config"] = config
        return command(settings, **rest)

    return wrapped


class _Careful(click.Group):
    """``fiesta-agent``. Output that cannot be written is one line on stderr, or nothing for a closed pipe."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program."""
        with careful_output():
            return super().main(*args, **kwargs)


@click.group(cls=_Careful, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="glowing-fiesta")
def main() -> None:
    """The metrics agent of this host. It takes StatsD lines, keeps them safe and sends them to the service.

    \b
    Settings are environment variables, or lower-case keys of a TOML file (--config):
      FIESTA_AGENT_CENTRAL_URL    the service's address     http://127.0.0.1:8080
      FIESTA_AGENT_API_KEY_FILE   a file with the key       (or FIESTA_AGENT_API_KEY)
      FIESTA_AGENT_UDP            StatsD over UDP           127.0.0.1:8125
      FIESTA_AGENT_UNIX           a unix datagram socket    none
      FIESTA_AGENT_UNIX_STREAM    a unix stream socket      none
      FIESTA_AGENT_TCP            StatsD over TCP           none
      FIESTA_AGENT_HTTP           metrics and health        127.0.0.1:9126
      FIESTA_AGENT_SPOOL_DIR      batches not sent yet      data/spool
    docs/settings.md has them all; docs/README.md lists all pages.

    \b
    Try:
      fiesta-agent check                     is everything in order?
      fiesta-agent run                       work until SIGTERM
      fiesta-agent send 'orders.paid:1|c'    count one
      fiesta-agent status                    where is every sample?
      fiesta-agent explain captured.txt      what differs from statsd?
    """


@main.command()
@_settled
def run(settings: Settings, config: Path | None) -> None:
    """Receive, keep and send until SIGTERM or Ctrl-C, or until its terminal goes away.

    SIGHUP reads the settings again. The log says which of them changed, and which need a restart. If one is wrong,
    nothing changes.

    At the end it flushes, sends for up to 3 s and exits with 0. What the service has not taken by then stays in the
    spool, and the next start sends it.
    """
    try:
        refuse_proxy(settings.central_url, os.environ)
        uvloop.run(_run(settings, _key(settings), log_to(standard_error()), config))
    except StartError as error:
        _fail(str(error))


async def _run(settings: Settings, key: ApiKey, log: Tell, config: Path | None) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    tell = AtLevel(not_too_often(log, steady_time), settings.log_level)
    if OUTDATED:
        tell("core_outdated", OUTDATED_MESSAGE)
    passed = passed_sockets(os.environ, os.getpid())
    notify = Notifier(os.environ, os.getpid(), send_datagram)
    agent = Agent(settings, key, tell, Outside(notify=notify, share=share_of(host_name())), passed)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored under nohup
        had_terminal = _has_terminal()

        def hang_up() -> None:
            if had_terminal and not _has_terminal():
                stop.set()
            else:
                _reload(agent, config, tell, notify)

        loop.add_signal_handler(signal.SIGHUP, hang_up)
    await agent.run(stop)


def _has_terminal() -> bool:
    """Whether this process has a terminal that can end it. Services have none."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _reload(agent: Agent, config: Path | None, tell: AtLevel, notify: Notifier) -> None:
    """Read the settings again, and use what can change. A fault changes nothing and is one line of the log."""
    notify.reloading()
    try:
        settings = load_settings(os.environ, config)
        what_changed = agent.reload(settings, ApiKey(settings.api_key, settings.api_key_file))
    except (SettingsError, BadKeyError, StartError) as error:
        tell("reload_failed", f"nothing has changed: {'; '.join(str(error).splitlines())}")
    else:
        tell.level = "info"  # who asked for the reload gets an answer
        tell("reloaded", what_changed)
        tell.level = settings.log_level
    notify.ready()


@main.command()
@_settled
def check(settings: Settings) -> None:
    """Check settings, spool, sockets, the connection to the service, clock and key.

    The exit code is 1 if a check fails. The check of the key says how many hosts can share it. A line begins with
    "warn" if this host alone may send more than the key allows, or if a socket's buffer in the kernel is small.
    """
    findings = [Finding(True, "settings", "can be used"), check_spool(settings.spool_dir, Disk())]
    running = asyncio.run(_running(settings))
    findings += check_sockets(_socket_names(settings), running.get("sockets", []), limits())
    findings += asyncio.run(_ask_central(settings, _key(settings), running.get("names")))
    for finding in findings:
        verdict = "FAIL" if not finding.good else "warn" if finding.doubt else "ok  "
        click.echo(one_line(f"{verdict}  {finding.what}: {finding.message}"))
    if not all(finding.good for finding in findings):
        sys.exit(1)


async def _ask_central(settings: Settings, key: ApiKey, names: int | None) -> list[Finding]:
    try:
        refuse_proxy(settings.central_url, os.environ)
        with starting(f"FIESTA_AGENT_CA_FILE {settings.ca_file}", "it must be a PEM file of certificates"):
            sender = Sender(settings.central_url, key, settings.ca_file)
    except StartError as error:
        return [Finding(False, "connection to the service", str(error))]
    sends = Sends(settings.flush_interval, settings.max_names, names)
    async with sender:
        return [finding async for finding in check_central(settings.central_url, sender, time.time, sends)]


async def _running(settings: Settings) -> dict[str, Any]:
    """The sockets and names from a running agent's /status. Empty when no agent answers."""
    host, port = settings.http
    try:
        status = await _fetch(f"http://{join_address(from_this_host(host), port)}")
        return {"sockets": [dict(one) for one in status["sockets"]], "names": int(status["names"])}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _socket_names(settings: Settings) -> Sockets:
    return Sockets(
        f"UDP {join_address(*settings.udp)}",
        None if settings.unix is None else f"unix {settings.unix}",
        None if settings.tcp is None else f"TCP {join_address(*settings.tcp)}",
        None if settings.unix_stream is None else f"unix stream {settings.unix_stream}",
    )


@main.command()
@_settled
def status(settings: Settings) -> None:
    """Show where every sample is, and whether any was lost."""
    host, port = settings.http
    address = join_address(from_this_host(host), port)
    try:
        click.echo(render(asyncio.run(_fetch(f"http://{address}"))))
    except OSError:
        _fail(f"no agent answers on http://{address}; is it running, and is FIESTA_AGENT_HTTP the same for both?")
    except (ValueError, KeyError, TypeError):
        _fail(f"what answers on http://{address} is not an agent; is FIESTA_AGENT_HTTP right?")


async def _fetch(url: str) -> Any:
    connection = HttpConnection(url)
    try:
        async with asyncio.timeout(5):
            return json.loads((await connection.request("GET", "/status", {})).body)
    finally:
        await connection.close()


@main.command()
@click.argument("lines", metavar="LINE...", nargs=-1, required=True)
@_settled
def send(settings: Settings, lines: tuple[str, ...]) -> None:
    """Send StatsD lines to the agent.

    All lines are checked first. If one is wrong, none is sent.

    \b
    Examples:
      fiesta-agent send 'orders.paid:1|c'                     count one
      fiesta-agent send 'api.time:320|ms' 'api.time:18|ms'   two timings
      fiesta-agent send 'queue.size:42|g'                     a gauge
      fiesta-agent send 'users:alice|s'                       a distinct member
    """
    single = [line for text in lines for line in text.split("\n")]
    wrong = faults(single)
    if wrong:
        _fail("\n".join([*wrong, "nothing was sent"]), code=2)
    host, port = settings.udp
    address = join_address(from_this_host(host), port)
    try:
        send_lines(single, from_this_host(host), port)
    except OSError as error:
        _fail(
            f"UDP {address}: {error.strerror or error}; does the agent run, and is FIESTA_AGENT_UDP the same for both?"
        )
    click.echo(f"sent {counted(len(single), 'line')} to UDP {address}")


@main.command()
@click.argument("files", metavar="[FILE]...", nargs=-1, type=click.File("rb"))
@click.option("--listen", metavar="HOST:PORT", help="Take lines over UDP here instead, for --seconds.")
@click.option("--seconds", type=click.FloatRange(0, 86_400), default=60, show_default=True, help="How long to listen.")
@_settled
def explain(settings: Settings, files: tuple[IO[bytes], ...], listen: str | None, seconds: float) -> None:
    """Show what the agent would do differently from statsd with captured lines.

    It lists what would be renamed, merged, stored under a longer name, refused or counted differently, with numbers
    and examples. It sends and stores nothing, and needs no running agent. It uses FIESTA_AGENT_PREFIX, TAGS and GAUGES.

    \b
    Examples:
      fiesta-agent explain captured.txt                one line of StatsD each; - is standard input
      fiesta-agent explain --listen 127.0.0.1:8126     what statsd's repeater sends there for a minute
    """
    if bool(files) == bool(listen):
        _fail("give captured files, or --listen HOST:PORT", code=2)
    lines: Iterable[bytes] = (line.rstrip(b"\n") for file in files for line in file)
    try:
        if listen is not None:
            click.echo(f"listening on UDP {listen} for {seconds:g} s", err=True)
            lines = lines_from_udp(*split_address(listen), seconds, time.monotonic)
        explanation = explain_lines(
            lines, Explanation(settings.prefix, settings.tag_rules, common_sign(settings.gauges))
        )
    except ValueError as error:
        _fail(f"--listen {error}", code=2)
    except OSError as error:
        _fail(f"{listen or 'a file'}: {error.strerror or error}")
    click.echo(render_explanation(explanation))


@main.group()
def spool() -> None:
    """List the spool folder, or send dead letters again."""


@spool.command("ls")
@_settled
def list_files(settings: Settings) -> None:
    """List what waits, what was refused and why, and what was damaged."""
    try:
        files = list(list_spool(settings.spool_dir))
    except OSError as error:
        _no_spool(settings, error)
    for file in files:
        start = "-" if file.start is None else format_time(file.start)
        line = (
            f"{file.folder:<8}{start:<22}{file.items:>6} items {file.samples:>12,} samples "
            f"{file.size:>9,} bytes  {file.code or '-':<24} {file.name}"
        )
        click.echo(one_line(line))
    click.echo(f"{counted(len(files), 'file')} in {settings.spool_dir}")


@spool.command()
@_settled
def replay(settings: Settings) -> None:
    """Send all dead letters again, and the files of corrupt/ that are sound.

    Correct the cause of the refusal first. A running agent takes them with its next window, else an agent takes them
    when it starts. Batches over 7 days old expire.
    """
    try:
        moved = replay_dead(settings.spool_dir, _bar)
    except OSError as error:
        _no_spool(settings, error)
    when = f"within {settings.flush_interval} s, or at the next start"
    click.echo(
        f"{counted(moved, 'batch', 'batches')} will be sent again: {when}"
        if moved
        else "there is nothing to send again"
    )


@main.command()
@click.argument("shell", type=click.Choice(SHELLS))
@_settled
def completion(settings: Settings, shell: str) -> None:
    """Print what makes your SHELL complete commands and options.

    \b
    Put this into ~/.bashrc, or the line of your shell:
      eval "$(fiesta-agent completion bash)"
      eval "$(fiesta-agent completion zsh)"
      fiesta-agent completion fish | source
    """
    click.echo(script(main, "fiesta-agent", shell))


def _no_spool(settings: Settings, error: OSError) -> NoReturn:
    _fail(
        f"the spool folder {settings.spool_dir} cannot be used: {error.strerror}; "
        "is FIESTA_AGENT_SPOOL_DIR the same as the agent's?"
    )


def _bar(paths: list[Path]) -> AbstractContextManager[Iterable[Path]]:
    """Show progress on a terminal, and nothing anywhere else."""
    return click.progressbar(paths, label="dead letters", file=sys.stderr, hidden=not sys.stderr.isatty())


def _key(settings: Settings) -> ApiKey:
    try:
        return ApiKey(settings.api_key, settings.api_key_file)
    except BadKeyError as error:
        _fail(str(error), code=2)


def _fail(message: str, code: int = 1) -> NoReturn:
    for line in message.split("\n"):
        click.echo(f"fiesta-agent: {one_line(line)}", err=True)
    sys.exit(code)
