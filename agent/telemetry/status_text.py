"""The agent's status as text for a person."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from agent.ledger import PLACES, place
from agent.receive.kernel_buffers import allowed_text, is_small, udp_waiting, unix_waiting
from agent.receive.mirror import MIRROR_LOSSES
from agent.telemetry.snapshot import counted_by


def render(status: Mapping[str, Any]) -> str:
    """The text of `fiesta-agent status` from the JSON of /status. Raises KeyError if the JSON is not an agent's."""
    dropped = status["dropped"]
    rows = [
        ("received", status["received"], ""),
        ("recovered", status["recovered"], "of an earlier run: found in the spool or the journal, or replayed"),
        ("", None, ""),
        ("acknowledged", status["acknowledged"], "stored by the service"),
        ("in window", status["in_window"], counted(status["names"], "name")),
        (
            "in spool",
            status["in_spool"],
            f"{counted(status['spool_batches'], 'batch', 'batches')}, {status['spool_bytes']:,} bytes",
        ),
        ("dropped", sum(dropped.values()), ""),
        *(
            (f"  {reason}", count, "" if place(reason) else "no metrics, left out on purpose")
            for reason, count in sorted(dropped.items(), key=lambda row: -row[1])
        ),
    ]
    lines = ["samples", *(_row(*row) for row in rows), "", "sockets"]
    lines += [line for socket in status["sockets"] for line in _socket(socket)]
    lines += _mirror(status["mirror"])
    lines += _clients(status)
    if status["notes"]:
        lines += [
            "",
            "notes (nothing lost)",
            *(_row(f"  {name}", n, "") for name, n in sorted(status["notes"].items())),
        ]
    kept = f"at most the open window: {status['journal']}" if status["journal"] else "nothing that was read"
    lines += ["", f"lines are counted by {counted_by(status['compiled'])}", f"a kill loses {kept}"]
    lines += [_central(status), _lost(status)]
    lines += [f"NOTICE: {notice}" for notice in status["notices"]]
    lines += [f"UNHEALTHY: {reason}" for reason in status["health"]] or ["healthy"]
    return "\n".join(lines)


def one_line(status: Mapping[str, Any]) -> str:
    """The most important numbers of the JSON of /status, in one line."""
    state = f"UNHEALTHY: {'; '.join(status['health'])}" if status["health"] else "healthy"
    received = counted(status["received"], "sample")
    return f"{state}. {received} received, {status['in_spool']:,} in the spool. {_lost(status)}"


def _row(name: str, count: int | None, remark: str) -> str:
    return "" if count is None else f"  {name:<28}{count:>15,}  {remark}".rstrip()


def _socket(socket: Mapping[str, Any]) -> Iterator[str]:
    """One line for what a socket received, and under it one for what waits."""
    came = f"{socket['bytes']:,} bytes"
    if socket["packets"] is not None:
        came = f"{counted(socket['packets'], 'datagram')}, {came}"
    if socket["accepted"] is not None:
        came = f"{socket['connections']:,} connections open of {socket['accepted']:,}, {came}"
    yield f"  {socket['name']:<28}  {came}"
    if socket["buffer_granted"] is not None:
        waiting = "" if socket["buffer_used"] is None else f"{socket['buffer_used']:,} bytes used of "
        less = socket["buffer_granted"] < socket["buffer_asked"]
        asked = f", {socket['buffer_asked']:,} asked for{allowed_text(socket['buffer_limit'])}" if less else ""
        yield f"  {'':<28}  receive buffer: {waiting}{socket['buffer_granted']:,}{asked}"
        if is_small(socket["buffer_granted"]):
            yield f"  {'':<28}  {udp_waiting(socket['buffer_granted'])}"
    if socket["queue_limit"] is not None:
        yield f"  {'':<28}  {unix_waiting(socket['queue_limit'])}"


def _clients(status: Mapping[str, Any]) -> Iterator[str]:
    """What clients say of themselves, beside what arrived; and the sockets whose clients say nothing."""
    if status["clients"] or status["silent_clients"]:
        yield ""
        yield "clients"
    for one in status["clients"]:
        packets = f"{one['packets_sent']:,} packets sent, {one['packets_dropped']:,} dropped"
        came = "" if one["arrived"] is None else f"; {one['arrived']:,} arrived, with those of all clients"
        yield f"  {one['transport']:<28}  say {one['metrics']:,} metrics, {packets}{came}"
        yield f"  {'':<28}  {', '.join(one['clients'])}"
    for name in status["silent_clients"]:
        yield f"  {name:<28}  no client says how much it sent"


def _mirror(mirror: Mapping[str, Any] | None) -> Iterator[str]:
    """What was handed on to another daemon, and what was not. Nothing when there is no mirror."""
    if mirror is not None:
        yield f"  {'mirror to ' + mirror['target']:<28}  {counted(mirror['sent'], 'datagram')} handed on"
        for reason, count in sorted(mirror["dropped"].items(), key=lambda row: -row[1]):
            yield f"  {'':<28}  {counted(count, 'datagram')} not: {MIRROR_LOSSES[reason]}"


def _central(status: Mapping[str, Any]) -> str:
    age = status["last_success_age"]
    return "the service has taken no batch yet" if age is None else f"the service took a batch {age:.0f} s ago"


def counted(count: int, noun: str, plural: str = "") -> str:
    """The count and what is counted: ``1 sample``, ``1,000 samples``."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def _lost(status: Mapping[str, Any]) -> str:
    """One line that says whether anything was lost and where, in the order in which data flows."""
    places = []
    for socket in status["sockets"]:
        for what, count in _SOCKET_LOSSES.items():
            if socket[count]:
                places.append(f"{socket[count]:,} {what} {socket['name']}")
    samples: Counter[str] = Counter()
    for reason, count in status["dropped"].items():
        samples[place(reason)] += count
    places += [f"{counted(samples[where], 'sample')} {where}" for where in PLACES if samples[where]]
    if status["corrupt_files"]:
        places.append(f"{status['corrupt_files']:,} damaged spool files (see corrupt/)")
    if status["journal_left"]:
        places.append(f"the last window of an earlier run: {status['journal_left']}")
    return f"LOST: {'; '.join(places)}" if places else "nothing was lost"


_SOCKET_LOSSES: Final = {
    "datagrams that the kernel dropped, because the receive buffer was full, at": "kernel_drops",
    "datagrams that were cut, because they were over 65,536 bytes, at": "truncated",
    "connections that were refused, because there were too many, at": "refused",
}
