"""Plans what ``make run`` starts and prints: addresses, the settings of both programs, the greeting.

It checks that the ports are free. It starts nothing.
"""

import errno
import os
import re
import shlex
import socket
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlencode

from central.settings import Settings, url_of
from protocol.times import format_time
from runtime.addresses import join_address, split_address
from runtime.start_error import StartError

AGENT_UDP: Final = "127.0.0.1:8125"
AGENT_HTTP: Final = "127.0.0.1:9126"
FLUSH_SECONDS: Final = "5"
"""Half of the agent's default, so that a first try is answered soon."""
KEY_FILE: Final = "quickstart.key"
_DAY: Final = 86_400


class Plan(NamedTuple):
    """All addresses, with real ports: no port in it is 0, not even in ``settings``."""

    settings: Settings
    udp: tuple[str, int]
    http: tuple[str, int]
    flush_seconds: str

    @property
    def answer_seconds(self) -> str:
        """Seconds until an answer includes what was sent: the agent's window must end, and the agent must send it."""
        return str(2 * int(self.flush_seconds)) if re.fullmatch("[0-9]{1,2}", self.flush_seconds) else "a few"

    @property
    def agent_url(self) -> str:
        """The agent's own HTTP port."""
        return url_of(*self.http, tls=False)

    @property
    def key_file(self) -> Path:
        """The file of the key that the first run makes and every later run uses."""
        return self.settings.data_dir / KEY_FILE

    @property
    def central_environ(self) -> dict[str, str]:
        """Settings for central beside those of the environment."""
        return {"METRICS_LISTEN": join_address(*self.settings.listen)}


def make_plan(settings: Settings, environ: Mapping[str, str]) -> Plan:
    """The plan for these settings. Raises StartError for a port in use or an invalid address."""
    listen = _free(settings.listen, socket.SOCK_STREAM, "METRICS_LISTEN")
    return Plan(
        replace(settings, listen=listen),
        _agent_address(environ, "FIESTA_AGENT_UDP", AGENT_UDP, socket.SOCK_DGRAM),
        _agent_address(environ, "FIESTA_AGENT_HTTP", AGENT_HTTP, socket.SOCK_STREAM),
        environ.get("FIESTA_AGENT_FLUSH_INTERVAL") or FLUSH_SECONDS,
    )


def agent_settings(plan: Plan, environ: Mapping[str, str]) -> dict[str, str]:
    """The agent's settings: those of the environment; for the others, values that fit this central."""
    fitting = {
        "FIESTA_AGENT_CENTRAL_URL": plan.settings.url,
        "FIESTA_AGENT_SPOOL_DIR": str(plan.settings.data_dir / "spool"),
        "FIESTA_AGENT_FLUSH_INTERVAL": plan.flush_seconds,
    }
    if not environ.get("FIESTA_AGENT_API_KEY"):
        fitting["FIESTA_AGENT_API_KEY_FILE"] = str(plan.key_file)
    if plan.settings.tls_cert is not None:
        fitting["FIESTA_AGENT_CA_FILE"] = str(plan.settings.tls_cert)
    chosen = {name: environ.get(name) or value for name, value in fitting.items()}
    return {**chosen, "FIESTA_AGENT_UDP": join_address(*plan.udp), "FIESTA_AGENT_HTTP": join_address(*plan.http)}


def greeting(plan: Plan, key: str, now: float) -> str:
    """The text with commands to paste. Their time range is from an hour ago to at least a day ahead."""
    today = int(now) // _DAY * _DAY
    query = {
        "name": "shop.orders",
        "operation": "sum",
        "window": "1h",
        "start": format_time(min(today, int(now) // 3600 * 3600 - 3600)),
        "end": format_time(today + 2 * _DAY),
    }
    address = f"{plan.settings.url}/api/metrics/aggregate?{urlencode(query, safe=':')}"
    certificate = plan.settings.tls_cert
    trust = f" --cacert {shlex.quote(str(certificate))}" if certificate else ""
    udp = join_address(*plan.udp)
    prefix = "" if udp == AGENT_UDP else f"FIESTA_AGENT_UDP={shlex.quote(udp)} "
    return f"""
Glowing Fiesta is running. Ctrl-C stops it; the data stays in {plan.settings.data_dir}.

  API key      {key}
  Page         {plan.settings.url}/ (open it, paste the key, see your metrics)
  Reference    {plan.settings.url}/docs
  Agent        StatsD lines on UDP {udp}

1. Send a metric to the agent:

   {prefix}{beside_python("fiesta-agent")} send 'shop.orders:1|c'

   or with nc:

   echo 'shop.orders:1|c' | nc -u -w1 {shlex.quote(plan.udp[0])} {plan.udp[1]}

2. Get the answer within {plan.answer_seconds} s:

   {words(of_central(plan.settings))}{beside_python("fiesta-central")} query shop.orders

   or as JSON:

   curl -H 'X-API-Key: {key}'{trust} '{address}'

3. Is everything as the agent needs it?

   {words(_of_agent(plan))}{beside_python("fiesta-agent")} check
"""


def _agent_address(environ: Mapping[str, str], setting: str, default: str, kind: socket.SocketKind) -> tuple[str, int]:
    text = environ.get(setting) or default
    try:
        address = split_address(text)
    except ValueError:
        raise StartError(f"{setting} is {text[:80]!r}; it must be host:port such as {default} or [::1]:8125") from None
    return _free(address, kind, setting)


def _free(address: tuple[str, int], kind: socket.SocketKind, setting: str) -> tuple[str, int]:
    """The address, if binding it for a moment shows that it is free. Port 0 becomes a free port. Raises StartError."""
    host, port = address
    shown = join_address(host, port)
    try:
        family, _, _, _, where = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family, kind) as probe:
            if kind is socket.SOCK_STREAM:  # ignore old connections of an earlier run
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(where)
            if kind is socket.SOCK_STREAM:
                probe.listen(1)
            return host, probe.getsockname()[1]
    except socket.gaierror as error:
        raise StartError(
            f"{setting} {shown} is not a valid address: {error.strerror}; give one such as 127.0.0.1:8080"
        ) from None
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        fault = "is in use: stop the program that uses it, or" if taken else f"cannot be used ({error.strerror}):"
        other = join_address(host, port + 1 if port < 65_535 else port - 1)
        raise StartError(
            f"port {port} ({shown}) {fault} choose another, for example: {setting}={other} make run"
        ) from None


def of_central(settings: Settings) -> dict[str, str]:
    """The variables that the command line needs to find the service of these settings and its admin key."""
    usual, variables = Settings(), {}
    if settings.listen != usual.listen:
        variables["METRICS_LISTEN"] = join_address(*settings.listen)
    if settings.data_dir != usual.data_dir:
        variables["METRICS_DATA_DIR"] = str(settings.data_dir)
    if settings.tls_cert is not None:
        variables |= {"METRICS_TLS_CERT": str(settings.tls_cert), "METRICS_TLS_KEY": str(settings.tls_key)}
    return variables


def _of_agent(plan: Plan) -> dict[str, str]:
    """The variables that ``fiesta-agent check`` needs to find what this agent uses."""
    usual = {
        "FIESTA_AGENT_CENTRAL_URL": Settings().url,
        "FIESTA_AGENT_UDP": AGENT_UDP,
        "FIESTA_AGENT_HTTP": AGENT_HTTP,
        "FIESTA_AGENT_FLUSH_INTERVAL": plan.flush_seconds,
    }
    return {name: value for name, value in agent_settings(plan, {}).items() if usual.get(name) != value}


def words(variables: Mapping[str, str]) -> str:
    """Variables before a command, with a blank behind each."""
    return "".join(f"{name}={shlex.quote(value)} " for name, value in variables.items())


def beside_python(program: str) -> str:
    """The path of a program in our virtual environment; relative if it is below the working folder."""
    path = Path(sys.executable).parent / program
    return shlex.quote(os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path))
