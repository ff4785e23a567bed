"""The agent's books as a person wants to read them."""

from collections.abc import Mapping
from typing import Any

from agent.report import counted_by


def render(status: Mapping[str, Any]) -> str:
    """The text of `fiesta-agent status` from the JSON of /status. Raises KeyError when it is another program's."""
    dropped = status["dropped"]
    rows = [
        ("received", status["received"], ""),
        ("recovered", status["recovered"], "found in the spool at the start, or replayed"),
        ("", None, ""),
        ("acknowledged", status["acknowledged"], "stored by the centre"),
        ("in window", status["in_window"], f"{status['names']:,} names"),
        ("in spool", status["in_spool"], f"{status['spool_batches']:,} batches, {status['spool_bytes']:,} bytes"),
        ("dropped", sum(dropped.values()), ""),
        *(("  " + reason, count, "") for reason, count in sorted(dropped.items(), key=lambda row: -row[1])),
    ]
    lines = ["samples", *(_row(*row) for row in rows), ""]
    if status["notes"]:
        lines += [
            "notes (nothing lost)",
            *(_row(f"  {name}", n, "") for name, n in sorted(status["notes"].items())),
            "",
        ]
    lines += [f"lines are counted by {counted_by(status['compiled'])}", _centre(status), _lost(status)]
    lines += [f"UNHEALTHY: {reason}" for reason in status["health"]] or ["healthy"]
    return "\n".join(lines)


def one_line(status: Mapping[str, Any]) -> str:
    """What matters most of the JSON of /status."""
    state = f"UNHEALTHY: {'; '.join(status['health'])}" if status["health"] else "healthy"
    return f"{state}. {status['received']:,} samples received, {status['in_spool']:,} in the spool. {_lost(status)}"


def _row(name: str, count: int | None, remark: str) -> str:
    return "" if count is None else f"  {name:<28}{count:>15,}  {remark}".rstrip()


def _centre(status: Mapping[str, Any]) -> str:
    age = status["last_success_age"]
    return "the centre has taken no batch yet" if age is None else f"the centre took a batch {age:.0f} s ago"


def _lost(status: Mapping[str, Any]) -> str:
    """One line: was anything lost, and where."""
    places = []
    kernel = status["kernel_drops"]
    if kernel:
        places.append(
            f"{kernel:,} datagrams in the kernel, whose receive buffer is {status['buffer_granted']:,} bytes "
            "(raise net.core.rmem_max)"
        )
    if status["corrupt_files"]:
        places.append(f"{status['corrupt_files']:,} damaged spool files (see corrupt/)")
    dropped = status["dropped"]
    dead = dropped.get("dead_letter", 0)
    gone = sum(dropped.values()) - dead
    if gone:
        places.append(f"{gone:,} samples dropped by the agent or refused (reasons above)")
    if dead:
        places.append(f"{dead:,} samples in dead letters (`fiesta-agent spool ls` shows why, `spool replay` resends)")
    return f"LOST: {'; '.join(places)}" if places else "nothing was lost"
