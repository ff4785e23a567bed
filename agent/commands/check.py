"""Checks whether everything is as an agent needs it. One finding per check, in the order of the data."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from agent.clock import CLOCK_OFF_SECONDS, parse_http_date
from agent.forward.outcome import Allowance, Reply, allowance, our_body
from agent.forward.schedule import hosts_per_key, requests_per_minute
from agent.forward.send import UnreachableError
from agent.receive.datagrams import RECEIVE_BUFFER, ask_buffer, granted_buffer
from agent.receive.kernel_buffers import QUEUE, allowed_text, is_small, udp_waiting, unix_waiting
from agent.receive.socket_status import KernelLimits
from agent.spool.disk import Disk, FolderInUseError
from agent.spool.folder import AsideLimits, SpoolFolder
from protocol.limits import MAX_BATCH_ITEMS

_MAKE_ONE: Final = "make one with `fiesta-central keys create NAME --scope ingest` and set FIESTA_AGENT_API_KEY_FILE"


class Finding(NamedTuple):
    """Whether the check passed, what it checked, and what it found or you must do. ``doubt`` marks a warning."""

    good: bool
    what: str
    message: str
    doubt: bool = False


class CentralProbe(Protocol):
    """What the checks need of agent.forward.send. Both methods raise UnreachableError."""

    async def health(self) -> Reply: ...
    async def try_key(self) -> Reply: ...


def check_spool(path: Path, disk: Disk) -> Finding:
    """Check whether the folder can be made, locked and written."""
    what = f"spool folder {path}"
    folder = SpoolFolder(path, disk, AsideLimits())
    try:
        folder.open()
        disk.save(path / "check", b"")
        disk.remove(path / "check")
    except FolderInUseError:
        return Finding(True, what, "in use by a running agent")
    except OSError as error:
        return Finding(
            False, what, f"{error.strerror or error}; give it room and rights, or set FIESTA_AGENT_SPOOL_DIR"
        )
    finally:
        folder.close()
    return Finding(True, what, "can be written, and no agent uses it")


class Sockets(NamedTuple):
    """The names of the sockets that the settings ask for, by kind."""

    udp: str
    unix: str | None
    tcp: str | None
    unix_stream: str | None = None


def check_sockets(names: Sockets, running: Sequence[Mapping[str, Any]], allowed: KernelLimits) -> Iterator[Finding]:
    """A finding for each socket. ``running`` is the status of a running agent's sockets, empty when none runs.

    Then the findings are those of an agent that would run as this user.
    """
    if not running:
        yield _udp(names.udp, {"buffer_asked": RECEIVE_BUFFER, "buffer_granted": _would_be_granted()}, allowed)
        if names.unix is not None:
            yield _unix(names.unix, {}, allowed)
        for stream in (names.tcp, names.unix_stream):
            if stream is not None:
                yield _stream(stream, allowed)
    for status in running:
        name: str = status["name"]
        if status.get("buffer_granted") is not None:
            yield _udp(name, status, allowed)
        elif status.get("packets") is not None:
            yield _unix(name, status, allowed)
        else:
            yield _stream(name, allowed)


def _udp(name: str, status: Mapping[str, Any], allowed: KernelLimits) -> Finding:
    granted, asked, drops = status["buffer_granted"], status["buffer_asked"], status.get("kernel_drops") or 0
    text = f"receive buffer: {asked:,} bytes asked for, {granted:,} granted{allowed_text(allowed.rmem_max)}; "
    text += udp_waiting(granted)
    if drops:
        text += f"; {drops:,} datagrams were dropped because it was full"
    return Finding(True, name, text, doubt=is_small(granted) or drops > 0)


def _unix(name: str, status: Mapping[str, Any], allowed: KernelLimits) -> Finding:
    queue = status.get("queue_limit") or allowed.dgram_queue
    if queue is None:
        return Finding(True, name, "the system does not say how many datagrams may wait (net.unix.max_dgram_qlen)")
    return Finding(True, name, unix_waiting(queue), doubt=queue < QUEUE)


def _stream(name: str, allowed: KernelLimits) -> Finding:
    most = "" if allowed.tcp_max is None or "unix" in name else f" up to {allowed.tcp_max:,} bytes (net.ipv4.tcp_rmem)"
    return Finding(True, name, f"the kernel sizes each connection's buffer{most}; a sender waits while it is full")


def _would_be_granted() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        ask_buffer(sock, RECEIVE_BUFFER)
        return granted_buffer(sock)


class Sends(NamedTuple):
    """What decides how much this host sends: seconds per window, the most names, and the names of a running agent."""

    interval: int
    max_names: int
    names: int | None = None


async def check_central(
    url: str, central: CentralProbe, wall: Callable[[], float], sends: Sends
) -> AsyncIterator[Finding]:
    """Check whether central answers, whether the clocks agree, whether it takes the key, and for how many hosts.

    Ends when central cannot be reached or the answer is not central's.
    """
    try:
        answer = await central.health()
        yield Finding(True, "connection to the service", f"{url} answers")
        if our_body(answer) is None or answer.status >= 400:
            yield Finding(
                False,
                "service",
                f"{url}/health answered {answer.status}, and not as the service does; "
                "is FIESTA_AGENT_CENTRAL_URL right, or is there a proxy in between?",
            )
            return
        yield _clock(answer, wall())
        answer = await central.try_key()
        yield _key(answer)
        allowed = allowance(answer)
        if allowed is not None:
            for finding in _fleet(allowed, sends):
                yield finding
    except UnreachableError as error:
        yield Finding(
            False, "connection to the service", f"{error}; is FIESTA_AGENT_CENTRAL_URL right, does the service run?"
        )


def _clock(answer: Reply, now: float) -> Finding:
    theirs = parse_http_date(answer.date)
    if theirs is None:
        return Finding(False, "clock", "the answer has no valid Date header; a proxy in between must pass it on")
    ahead = now - theirs
    if abs(ahead) > CLOCK_OFF_SECONDS:
        way = "ahead of" if ahead > 0 else "behind"
        return Finding(False, "clock", f"this host is {abs(ahead):.0f} s {way} the service; set it right")
    return Finding(True, "clock", "agrees with the service's")


def _key(answer: Reply) -> Finding:
    body = our_body(answer)
    if body is None:
        return Finding(
            False, "key", f"an answer {answer.status} that is not the service's; is there a proxy in between?"
        )
    if answer.status == 401:
        return Finding(False, "key", f"refused; {_MAKE_ONE}")
    if answer.status == 403:
        return Finding(False, "key", f"valid, but without the scope to send; {_MAKE_ONE}")
    if answer.status in {400, 429}:
        # 400: the key may send, but the batch was empty. 429: the key is good and has used its requests.
        return Finding(True, "key", "accepted")
    return Finding(False, "key", f"the service answered {answer.status}; look at its /ready")


def _fleet(allowed: Allowance, sends: Sends) -> Iterator[Finding]:
    """How many hosts can share the key, and whether this one alone may be too much for it."""
    names = max(sends.names or 0, 1)
    host = "a host with up to 1,000 names" if names <= MAX_BATCH_ITEMS else f"a host with {names:,} names, as this now,"
    each = requests_per_minute(names, sends.interval)
    hosts = hosts_per_key(allowed.limit, names, sends.interval)
    yield Finding(
        True,
        "fleet",
        f"the key has {allowed.limit:,} requests per minute, {allowed.remaining:,} left of this one; {host} sends "
        f"{each:,}, so it is enough for {hosts:,} such hosts (half of it is reserved for catching up after an outage)",
        doubt=hosts == 0,
    )
    most = requests_per_minute(sends.max_names, sends.interval)
    if most > allowed.limit:
        yield Finding(
            True,
            "fleet",
            f"this host alone may send {most:,} requests per minute, with {sends.max_names:,} names (MAX_NAMES) in "
            f"windows of {sends.interval} s; use a key with a higher --rate-limit, a longer FLUSH_INTERVAL, or a lower "
            "MAX_NAMES",
            doubt=True,
        )
