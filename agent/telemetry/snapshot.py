"""The agent's Prometheus families, health and status, all from one snapshot.

A snapshot is taken between two steps of the event loop, so the counts balance in every answer.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.clients import TRANSPORTS, ClientsStatus, losses, silent
from agent.clock import CLOCK_OFF_SECONDS
from agent.flush import MAX_WAITING_WINDOWS
from agent.forward.clashes import sentence
from agent.forward.forwarder import held_message
from agent.forward.outcome import Action
from agent.ledger import KNOWN_NOTES, KNOWN_REASONS
from agent.receive.mirror import MIRROR_REASONS, MirrorStatus
from agent.receive.socket_status import SocketStatus

WAITING_SECONDS: Final = 60.0
"""Seconds. A shorter outage is not reported, because the spool covers it."""


@dataclass(frozen=True, slots=True)
class TroubleStatus:
    """Why central takes no batch, and since how many seconds."""

    action: str
    message: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All numbers of one moment: samples, files and bytes, and times in seconds. Totals are since the start."""

    received: int
    recovered: int
    acknowledged: int
    dropped: Mapping[str, int]
    in_window: int
    in_spool: int
    notes: Mapping[str, int]
    names: int
    series: int
    """Series with tags in the open window."""
    compiled: bool
    """Whether the compiled core counts; otherwise plain Python does."""
    journal: str
    """Why the journal does not keep what is read. Empty while it does, so that a kill loses nothing of it."""
    journal_left: str
    """Why the last window of an earlier run is lost. Empty when it is not."""
    windows_waiting: int
    """Ends of windows that have passed during one write to the disk."""
    spool_batches: int
    spool_bytes: int
    spool_in_memory: int
    spool_overflowing: bool
    held: int
    stuck: int
    """Batches that fail while others go through."""
    stuck_cause: str
    """The cause of one of them."""
    corrupt_files: int
    dead_letters: int
    dead_letters_removed: int
    replayed: int
    disk_failures: int
    disk_trouble: str | None
    unreadable: int
    """Spool files that cannot be read now. They stay where they are."""
    failures: Mapping[str, int]
    """Failed attempts by job: see agent.attempts."""
    failing: Mapping[str, str]
    """The last error of each job that fails now."""
    answers: Mapping[str, int]
    """Answers of central by ``action/reason``."""
    retries: int
    trouble: TroubleStatus | None
    last_success_age: float | None
    clock_ahead: float | None
    """Seconds that this host's clock is ahead of central's; None until an answer had a Date header."""
    clashes: Sequence[str]
    """The longer names of samples whose own name belongs to another type: see agent.forward.clashes."""
    sockets: Sequence[SocketStatus]
    lately: Mapping[str, int]
    """Losses since the last window began. Those in LATELY make the agent unhealthy."""
    mirror: MirrorStatus | None = None
    """What is handed on to another daemon. None when nothing is."""
    clients: Sequence[ClientsStatus] = ()
    """What clients say of themselves, by transport."""


LATELY: Final[Mapping[str, str]] = {
    "kernel_drops": "datagrams were dropped by the kernel: more came than this host can read, or its receive buffer is "
    "small (net.core.rmem_max)",
    "truncated": "datagrams were cut: they were over 65,536 bytes",
    "refused": "connections were refused: as many as there may be are open",
    "names_over_cap": "samples of new names were dropped: the window has MAX_NAMES of them; does somebody put ids into "
    "names?",
    "timestamp_too_old": "samples were dropped: their time (|T) is over 7 days old",
    "timestamp_in_future": "samples were dropped: their time (|T) is in the future",
    "timestamps_over_cap": "samples were dropped: they have the times of too many windows",
    "rates_over_cap": "samples were dropped: too many different sample rates",
    "members_over_cap": "samples of sets were dropped: the window has no room for more members",
}
"""For each loss that grows: the text after its number."""


def counted_by(compiled: bool) -> str:
    """Which core counts lines, in words."""
    return "the compiled core" if compiled else "plain Python"


def health(snapshot: Snapshot) -> list[str]:
    """What is wrong now, one sentence per fault. Empty when nothing is wrong."""
    reasons = []
    trouble = snapshot.trouble
    if trouble is not None and (trouble.action != Action.WAIT or trouble.seconds >= WAITING_SECONDS):
        reasons.append(
            f"nothing goes through for {trouble.seconds:.0f} s: {trouble.message}; "
            f"{snapshot.spool_batches} batches are kept"
        )
    if trouble is None and snapshot.stuck:
        reasons.append(
            f"batches do not go through while others do: {snapshot.stuck:,}; one of them because of: "
            f"{snapshot.stuck_cause}"
        )
    if snapshot.held:
        reasons.append(held_message(snapshot.held, snapshot.clock_ahead or 0))
    elif snapshot.clock_ahead is not None and abs(snapshot.clock_ahead) > CLOCK_OFF_SECONDS:
        way = "ahead of" if snapshot.clock_ahead > 0 else "behind"
        off = f"{abs(snapshot.clock_ahead):.0f} s {way} the service's"
        reasons.append(f"this host's clock is {off}, so windows follow the service's clock until you correct this one")
    if snapshot.disk_trouble is not None:
        reasons.append(
            f"the disk fails: {snapshot.disk_trouble}; {snapshot.spool_in_memory} batches are in memory only"
        )
    if snapshot.windows_waiting >= MAX_WAITING_WINDOWS:
        kept = "what they have is kept, and goes to the service once the disk has it"
        reasons.append(
            f"the disk is slow: {snapshot.windows_waiting} windows should have ended during one write; "
            f"{'a kill loses what the disk does not have' if snapshot.journal else kept}"
        )
    if snapshot.unreadable:
        reasons.append(
            f"{snapshot.unreadable} files of the spool cannot be read and wait: give them to the agent's user; "
            "`fiesta-agent spool ls` lists them"
        )
    reasons += [f"{job} fails: {error}" for job, error in snapshot.failing.items()]
    if snapshot.spool_overflowing:
        reasons.append("the spool is full: its oldest batches are being dropped")
    reasons += [
        f"lately {snapshot.lately[loss]:,} {text}" for loss, text in LATELY.items() if snapshot.lately.get(loss)
    ]
    return reasons


def notices(snapshot: Snapshot) -> list[str]:
    """What you should change although nothing is lost, one sentence each."""
    return [
        *(sentence(stored_as) for stored_as in snapshot.clashes),
        *losses(snapshot.clients, snapshot.sockets),
    ]


def status(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot and the health as values for JSON."""
    return {
        "health": health(snapshot),
        "notices": notices(snapshot),
        **asdict(snapshot),
        "silent_clients": silent(snapshot.clients, snapshot.sockets),
    }


class _Number(NamedTuple):
    name: str
    help: str
    read: Callable[[Snapshot], float | None]


_COUNTERS: Final = (
    _Number("samples_received", "Samples received since the start", lambda s: s.received),
    _Number("samples_recovered", "Samples found in the spool or replayed", lambda s: s.recovered),
    _Number("samples_acknowledged", "Samples the service has stored", lambda s: s.acknowledged),
    _Number("spool_corrupt_files", "Spool files that were not what we wrote", lambda s: s.corrupt_files),
    _Number("journals_put_aside", "Journals of an earlier run that could not be used", lambda s: bool(s.journal_left)),
    _Number("dead_letters", "Batches the service refused for good", lambda s: s.dead_letters),
    _Number("dead_letters_removed", "Dead letters removed to make room", lambda s: s.dead_letters_removed),
    _Number("dead_letters_replayed", "Dead letters taken back to be sent again", lambda s: s.replayed),
    _Number("disk_failures", "Writes, renames and unlinks that failed", lambda s: s.disk_failures),
    _Number("mirror_packets", "Datagrams handed on to another daemon", lambda s: s.mirror.sent if s.mirror else 0),
    _Number("forward_retries", "Attempts that have to be made again", lambda s: s.retries),
)
_GAUGES: Final = (
    _Number("samples_in_window", "Samples in the open window", lambda s: s.in_window),
    _Number("samples_in_spool", "Samples waiting to be acknowledged", lambda s: s.in_spool),
    _Number("windows_waiting", "Ends of windows during the write that runs", lambda s: s.windows_waiting),
    _Number("names", "Names in the open window", lambda s: s.names),
    _Number("series", "Series with tags in the open window", lambda s: s.series),
    _Number("name_clashes", "Names that belong to another type", lambda s: len(s.clashes)),
    _Number("compiled", "1 when the compiled core counts, 0 when plain Python does", lambda s: s.compiled),
    _Number("journal", "1 when a kill loses nothing that was read", lambda s: not s.journal),
    _Number("spool_batches", "Batches in the spool that can be sent", lambda s: s.spool_batches),
    _Number("spool_bytes", "Bytes of the batches in the spool", lambda s: s.spool_bytes),
    _Number("spool_batches_in_memory", "Batches that are not on disk", lambda s: s.spool_in_memory),
    _Number("spool_files_unreadable", "Spool files that cannot be read just now", lambda s: s.unreadable),
    _Number("spool_batches_held", "Batches that wait because they are in the service's future", lambda s: s.held),
    _Number("spool_batches_stuck", "Batches that do not go through while others do", lambda s: s.stuck),
    _Number("last_success_age_seconds", "Seconds since the service took a batch", lambda s: s.last_success_age),
    _Number("clock_ahead_seconds", "How far this host's clock is ahead of the service's", lambda s: s.clock_ahead),
    _Number("healthy", "1 when /health answers 200", lambda s: not health(s)),
)


class _SocketNumber(NamedTuple):
    name: str
    help: str
    read: Callable[[SocketStatus], int | None]


_SOCKET_COUNTERS: Final = (
    _SocketNumber("received_packets", "Datagrams received", lambda s: s.packets),
    _SocketNumber("received_bytes", "Bytes received", lambda s: s.bytes),
    _SocketNumber("truncated_datagrams", "Datagrams longer than 65,536 bytes, which were cut", lambda s: s.truncated),
    _SocketNumber(
        "kernel_drops", "Datagrams the kernel dropped because the receive buffer was full", lambda s: s.kernel_drops
    ),
    _SocketNumber("socket_errors", "Reads and accepts that failed", lambda s: s.errors),
    _SocketNumber("connections_accepted", "Connections accepted", lambda s: s.accepted),
    _SocketNumber("connections_refused", "Connections closed at once, being too many", lambda s: s.refused),
    _SocketNumber("connections_idle_closed", "Connections closed for sending nothing", lambda s: s.idle_closed),
)
_SOCKET_GAUGES: Final = (
    _SocketNumber("receive_buffer_asked_bytes", "Receive buffer asked for", lambda s: s.buffer_asked),
    _SocketNumber("receive_buffer_granted_bytes", "Receive buffer granted by the kernel", lambda s: s.buffer_granted),
    _SocketNumber("receive_buffer_used_bytes", "Receive buffer in use: what waits to be read", lambda s: s.buffer_used),
    _SocketNumber("connections", "Connections open", lambda s: s.connections),
)


class _ClientNumber(NamedTuple):
    name: str
    help: str
    read: Callable[[ClientsStatus], int]


_CLIENT_NUMBERS: Final = (
    _ClientNumber("client_metrics", "Metrics that clients say they were given", lambda s: s.metrics),
    _ClientNumber("client_packets_sent", "Packets that clients say they sent", lambda s: s.packets_sent),
    _ClientNumber("client_packets_dropped", "Packets that clients say they dropped", lambda s: s.packets_dropped),
    _ClientNumber("client_packets_missing", "Packets that were sent and did not arrive, at least", lambda s: s.missing),
)


class AgentCollector(Collector):
    """Reads plain numbers when Prometheus asks. Register it in a separate registry."""

    def __init__(self, take: Callable[[], Snapshot]) -> None:
        self._take = take

    def describe(self) -> Iterable[Metric]:
        """Empty, because a registration must not read the agent's numbers."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Every family, from one snapshot."""
        snapshot = self._take()
        for counter in _COUNTERS:
            count = counter.read(snapshot)
            if count is not None:
                yield CounterMetricFamily(f"fiesta_agent_{counter.name}", counter.help, value=count)
        for gauge in _GAUGES:
            value = gauge.read(snapshot)
            if value is not None:
                yield GaugeMetricFamily(f"fiesta_agent_{gauge.name}", gauge.help, value=float(value))
        yield from _by_socket(CounterMetricFamily, _SOCKET_COUNTERS, snapshot.sockets)
        yield from _by_socket(GaugeMetricFamily, _SOCKET_GAUGES, snapshot.sockets)
        yield _labelled(
            "samples_dropped", "Samples lost, by reason", "reason", with_zeros(snapshot.dropped, KNOWN_REASONS)
        )
        yield _labelled(
            "notes", "Things worth knowing that lose nothing", "note", with_zeros(snapshot.notes, KNOWN_NOTES)
        )
        yield _labelled(
            "mirror_dropped_packets",
            "Datagrams that could not be handed on, by reason",
            "reason",
            with_zeros(snapshot.mirror.dropped if snapshot.mirror else {}, MIRROR_REASONS),
        )
        for number in _CLIENT_NUMBERS:
            counts = {one.transport: number.read(one) for one in snapshot.clients}
            yield _labelled(number.name, number.help, "transport", with_zeros(counts, TRANSPORTS))
        yield _labelled("failed_attempts", "Attempts that failed by a fault, by job", "job", snapshot.failures)
        yield _labelled("forward_attempts", "Answers of the service, by what they meant", "outcome", snapshot.answers)


def with_zeros(counts: Mapping[str, int], known: Iterable[str]) -> dict[str, int]:
    """The counts, and 0 for each known label without a count, so that Prometheus sees the first increase."""
    return {**dict.fromkeys(known, 0), **counts}


def _labelled(name: str, text: str, label: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"fiesta_agent_{name}", text, labels=[label])
    for value, count in sorted(counts.items()):
        family.add_metric([value], count)
    return family


def _by_socket(
    family: type[CounterMetricFamily | GaugeMetricFamily],
    numbers: Iterable[_SocketNumber],
    statuses: Sequence[SocketStatus],
) -> Iterable[Metric]:
    """A family for each number that any socket has."""
    for number in numbers:
        values = [(one.name, value) for one in statuses if (value := number.read(one)) is not None]
        if values:
            metric = family(f"fiesta_agent_{number.name}", number.help, labels=["socket"])
            for name, value in values:
                metric.add_metric([name], value)
            yield metric


class RecentGrowth:
    """Compares totals, which only grow, with earlier ones."""

    def __init__(self) -> None:
        self._before: Mapping[str, int] = {}
        self._older: Mapping[str, int] = {}

    def turn(self, totals: Mapping[str, int]) -> None:
        """Store the totals at the end of a window."""
        self._older, self._before = self._before, dict(totals)

    def grown(self, totals: Mapping[str, int]) -> dict[str, int]:
        """The growth of each total since the last window began. Totals that did not grow are left out."""
        return {
            name: total - self._older.get(name, 0) for name, total in totals.items() if total > self._older.get(name, 0)
        }
