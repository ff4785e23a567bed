"""The agent's report to the service: what of a snapshot goes with each batch. See protocol.report."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from agent.ledger import NO_METRICS
from agent.telemetry.snapshot import Snapshot
from protocol.report import AgentReport, write_report


class AgentIdentity(NamedTuple):
    """What stays the same for a run: the agent's id, 16 hex digits of this run, and its start in Unix seconds."""

    id: str
    run: str
    host: str
    version: str
    started: int


def make_report(about: AgentIdentity, snapshot: Snapshot, points: Mapping[str, int], *, stopping: bool) -> AgentReport:
    """The report of this moment. For ``points`` see protocol.report."""
    losses = {
        "kernel_drops": sum(one.kernel_drops or 0 for one in snapshot.sockets),
        "truncated": sum(one.truncated or 0 for one in snapshot.sockets),
        "client_packets": sum(one.lost for one in snapshot.clients),
        "refused": sum(one.refused or 0 for one in snapshot.sockets),
    }
    ahead = snapshot.clock_ahead
    return AgentReport(
        **about._asdict(),
        stopping=stopping,
        received=snapshot.received,
        recovered=snapshot.recovered,
        acknowledged=snapshot.acknowledged,
        in_window=snapshot.in_window,
        in_spool=snapshot.in_spool,
        spool_batches=snapshot.spool_batches,
        spool_bytes=snapshot.spool_bytes,
        names=snapshot.names,
        series=snapshot.series,
        clock_ahead=None if ahead is None else round(ahead, 3),
        left_out=sum(snapshot.dropped.get(reason, 0) for reason in NO_METRICS),
        dropped={reason: count for reason, count in snapshot.dropped.items() if reason not in NO_METRICS},
        lost={what: count for what, count in losses.items() if count},
        points=points,
    )


class Reports:
    """Makes the header of each request. ``said`` is whether the last one said that the agent stops."""

    def __init__(self, about: AgentIdentity, snapshot: Callable[[], Snapshot], points: Mapping[str, int]) -> None:
        self.stopping = False
        self.said = False
        self._about = about
        self._snapshot = snapshot
        self._points = points

    def header(self) -> str:
        """The report of this moment."""
        self.said = self.stopping
        return write_report(make_report(self._about, self._snapshot(), self._points, stopping=self.stopping))
