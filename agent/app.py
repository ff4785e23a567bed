"""Wires the agent: this is the only file that knows every stage."""

import asyncio
import gc
import secrets
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.aggregate.compiled import CORE, MaybeCore
from agent.attempts import Attempts, Tell
from agent.clients import Clients, losses
from agent.clock import CentralClock
from agent.flush import Flush, FlushStages
from agent.forward.api_key import ApiKey
from agent.forward.forwarder import Forwarder, Pace
from agent.forward.send import Sender, UnreachableError
from agent.journal.journal import Journal, JournalRoom
from agent.journal.layout import Rules
from agent.journal.recovery import JOURNAL, Recovery, RecoveryStages
from agent.ledger import OVER_CAP, Ledger
from agent.receive.activation import Passed
from agent.receive.bad_lines import BadLines
from agent.receive.datagrams import DatagramReceiver
from agent.receive.gauge_signs import common_sign
from agent.receive.mirror import Mirror
from agent.receive.routes import Routes
from agent.receive.sockets import (
    Receivers,
    SocketSettings,
    count_threads,
    open_receivers,
    report_passed,
    room_for_connections,
)
from agent.receive.streams import StreamLimits
from agent.reload import changed, difference, in_words
from agent.settings import Settings
from agent.spool.agent_id import agent_id
from agent.spool.batch import random_id
from agent.spool.disk import Disk
from agent.spool.folder import AsideLimits, SpoolFolder
from agent.spool.gauge_file import GaugeFile
from agent.spool.spool import Spool, SpoolLimits
from agent.telemetry.local_http import local_pages, serve
from agent.telemetry.report import AgentIdentity, Reports
from agent.telemetry.snapshot import RecentGrowth, Snapshot, TroubleStatus, counted_by, status
from agent.telemetry.status_text import one_line
from agent.turns import Turns
from runtime.addresses import join_address
from runtime.start_error import OTHER_ADDRESS, StartError, starting
from runtime.systemd import Notifier, silent

GC_THRESHOLD: Final = (5_000, 1, 1_250)
"""Young objects are collected often, which is quick. All objects are collected rarely, because that stops the loop."""
LAST_SEND_SECONDS: Final = 3.0
"""The time for sending at a stop. What is not sent by then stays in the spool."""


def steady_time() -> float:
    """Seconds since the boot. They go on while the host sleeps, and nobody can set them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The id of this boot of the host; steady_time begins anew with each boot. Empty when the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the agent uses of the world: clocks, waiting, the disk, the compiled core, systemd. Tests pass their own."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = steady_time
    pace: Pace = field(default_factory=Pace)
    disk: Disk = field(default_factory=Disk)
    core: MaybeCore = CORE
    notify: Notifier = field(default_factory=silent)
    boot: str = field(default_factory=boot_id)
    journal: JournalRoom = field(default_factory=JournalRoom)
    share: float = 0.0
    """This host's share of the interval: see agent.forward.schedule."""


class Agent:
    """One agent. Call ``run`` once. It calls ``tell`` for each change of state; ``passed`` are a parent's sockets.

    The stages are public, so that tests can read them. Only this class connects them.
    """

    def __init__(
        self, settings: Settings, key: ApiKey, tell: Tell, outside: Outside, passed: Sequence[Passed] = ()
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._outside = outside
        self.ledger = Ledger()
        self._options = AggregateOptions(
            settings.max_names,
            settings.prefix,
            settings.tag_rules,
            common_sign(settings.gauges),
            interval=settings.flush_interval,
        )
        if settings.threads > 1 and outside.core is None:
            raise StartError(
                f"FIESTA_AGENT_THREADS is {settings.threads}, but this installation has no compiled core, so one "
                "thread does all; install a C compiler and then the agent again, or leave the setting out"
            )
        others = count_threads(settings.threads, settings.udp[0], passed) if outside.core else 0
        self.aggregator = Aggregator(self._options, self.ledger, outside.core, others)
        self._folder = SpoolFolder(settings.spool_dir, outside.disk, AsideLimits())
        gauges = GaugeFile(settings.spool_dir / "gauges.json", outside.disk)
        cores = self.aggregator.others.cores if self.aggregator.others else ()
        self._journal = Journal(settings.spool_dir / JOURNAL, self.aggregator.core, tell, outside.journal, cores)
        limits = SpoolLimits(settings.spool_max_bytes, settings.spool_max_files)
        self.spool = Spool(self._folder, self.ledger, limits, boot=outside.boot)
        self.clock = CentralClock(outside.wall, outside.steady)
        with starting(f"FIESTA_AGENT_CA_FILE {settings.ca_file}", "it must be a PEM file of certificates"):
            self._sender = Sender(settings.central_url, key, settings.ca_file)
        pace = replace(outside.pace, interval=settings.flush_interval, share=outside.share)
        self.forwarder = Forwarder(self.spool, self._sender, self.clock, pace, tell)
        self._bad = BadLines(tell, outside.steady, settings.prefix, settings.tag_rules)
        self.aggregator.when_failed = self._bad.fault
        self._clients = Clients()
        self.aggregator.on_telemetry = self._clients.take
        self._clients_lost = 0
        self._passed = passed
        self.receivers = Receivers()
        self._growth = RecentGrowth()
        self._attempts = Attempts(tell)
        stages = FlushStages(
            self.aggregator, self.spool, self._folder, gauges, self.clock, self._attempts, self._journal
        )
        self._flush = Flush(
            stages, settings.flush_interval, tell, closed=self._window_closed, persisted=self.forwarder.wake
        )
        self._mirror = None if settings.mirror is None else Mirror(*settings.mirror, tell)
        recovering = RecoveryStages(outside.core, self._bad, self._flush, self._folder, self.spool, gauges, self.ledger)
        self._recovery = Recovery(recovering, outside.boot, tell)
        self._journal.when_full = self._flush.close_early
        self.spool.when_sent_from_memory = self._journal.release_closed
        self.clock.when_sure = lambda: self.spool.restamp(self._flush.shift)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then stop without losing anything received.

        Raises FolderInUseError when another agent has the spool folder, StartError when a port or the
        folder cannot be used.
        """
        async with AsyncExitStack() as stack:
            self._open_spool()
            stack.callback(self.spool.close)
            await self._recover()
            reports = self._send_reports()
            self._open_local_port(stack)
            await stack.enter_async_context(self._sender)
            self._open_receivers(stack.enter_context(ExitStack()))
            forwarding = asyncio.create_task(self.forwarder.run(self._attempts))
            if self._mirror is not None:
                stack.callback(self._mirror.close)
                mirroring = asyncio.create_task(self._mirror.run())
                stack.callback(mirroring.cancel)
            await self._tell_status()  # before READY, so that `systemctl status` shows it when `start` returns
            gc.freeze()
            gc.set_threshold(*GC_THRESHOLD)
            self._outside.notify.ready()
            await self._flush_until(stop)

            reports.stopping = True
            self._outside.notify.stopping()
            for receiver in self.receivers:
                receiver.stop()
            for receiver in self.receivers:
                receiver.refuse()
                receiver.drain()
                receiver.close()
            await self._flush.close_last()
            forwarding.cancel()
            with suppress(asyncio.CancelledError):
                await forwarding
            with self._attempts.guard("forward"), suppress(TimeoutError, UnreachableError):
                async with asyncio.timeout(LAST_SEND_SECONDS):
                    await self.forwarder.finish()
                    if self.forwarder.reaches and not reports.said:
                        await self._sender.try_key()
            lost = await self.spool.last_persist()
            self._journal.close()
            if lost:
                trouble = self._folder.counts.trouble
                self._tell("samples_lost", f"{lost} samples: neither the disk nor the service took them; {trouble}")
            self._tell("stopped", f"samples that wait in the spool for the next start: {self.ledger.in_spool:,}")

    def reload(self, settings: Settings, key: ApiKey) -> str:
        """Use what of these settings can change while the agent runs. Returns what changed and what cannot, in words.

        Raises StartError, and changes nothing, when the file of authorities is unusable.
        """
        found = difference(self._settings, settings)
        with starting(f"FIESTA_AGENT_CA_FILE {settings.ca_file}", "it must be a PEM file of certificates"):
            other_key = self._sender.use(key, settings.ca_file)
        self.spool.bound(SpoolLimits(settings.spool_max_bytes, settings.spool_max_files))
        if {"prefix", "tags", "host_tags", "max_names"} & set(found.changed):
            with self.aggregator.held():
                self._journal.use(Rules(settings.prefix, settings.tag_rules, settings.max_names))
                self.aggregator.name_by(settings.prefix, settings.tag_rules)
                self.aggregator.bound(settings.max_names)
            self._bad.name_by(settings.prefix, settings.tag_rules)
        self._settings = changed(self._settings, settings)
        return in_words(found, other_key=other_key)

    async def settle(self) -> None:
        """Count what has come so far, in steps between which the sockets are read."""
        for _ in self.aggregator.settling():
            await asyncio.sleep(0)

    def snapshot(self) -> Snapshot:
        """All numbers of this moment. Lines that came after the last ``settle`` are not counted yet."""
        ledger, counts, forward = self.ledger, self._folder.counts, self.forwarder
        sockets = [receiver.status() for receiver in self.receivers]
        trouble, last = forward.trouble, forward.counts.last_success
        return Snapshot(
            received=ledger.received,
            recovered=ledger.recovered,
            acknowledged=ledger.acknowledged,
            dropped=dict(ledger.dropped),
            in_window=ledger.in_window,
            in_spool=ledger.in_spool,
            notes=dict(ledger.notes),
            names=self.aggregator.live_names(),
            series=self.aggregator.live_series(),
            compiled=self.aggregator.core is not None,
            journal=self._journal.why_not,
            journal_left=self._recovery.put_aside,
            windows_waiting=self._flush.waiting,
            spool_batches=len(self.spool.index),
            spool_bytes=self.spool.index.size,
            spool_in_memory=self.spool.in_memory,
            spool_overflowing=self.spool.overflowing,
            held=forward.held(),
            stuck=forward.stuck()[0],
            stuck_cause=forward.stuck()[1],
            corrupt_files=counts.corrupt_files,
            dead_letters=counts.dead_letters,
            dead_letters_removed=counts.dead_letters_removed,
            replayed=self.spool.replayed,
            disk_failures=counts.disk_failures,
            disk_trouble=counts.trouble,
            unreadable=self.spool.unreadable,
            failures=dict(self._attempts.failures),
            failing=dict(self._attempts.failing),
            answers={f"{action}/{reason}": count for (action, reason), count in forward.counts.answers.items()},
            retries=forward.counts.retries,
            trouble=trouble and TroubleStatus(trouble.action, trouble.message, self._outside.steady() - trouble.since),
            last_success_age=None if last is None else self._outside.steady() - last,
            clock_ahead=self.clock.ahead() if self.clock.known else None,
            clashes=list(forward.clashes.names),
            sockets=sockets,
            clients=self._clients.statuses(sockets),
            lately=self._growth.grown(self._loss_totals()),
            mirror=None if self._mirror is None else self._mirror.status(),
        )

    def _open_spool(self) -> None:
        with starting(f"the spool folder {self._folder.path}", "make it writable or set FIESTA_AGENT_SPOOL_DIR"):
            self._recovery.open_spool()
        counts = self._folder.counts
        if counts.corrupt_files:
            self._tell("spool_corrupt", f"{counts.corrupt_files} bad files in {self._folder.path} moved to corrupt/")
        if self.ledger.recovered:
            self._tell("spool_recovered", f"samples of the last run that wait to be sent: {self.ledger.recovered:,}")

    async def _recover(self) -> None:
        """Store what a killed agent had read, go on from the last gauges, and begin a journal of our own."""
        self.aggregator.restore_gauges(await self._recovery.redo())
        with self._attempts.guard("gauges"):
            self._flush.load_gauges()
        self._journal.open(self._outside.boot, self._options)

    def _send_reports(self) -> Reports:
        """Send a report with each batch. An id that the disk does not keep is for this run only."""
        made = random_id()
        try:
            made = agent_id(self._folder.path, self._outside.disk)
        except OSError as error:
            self._folder.failed(error)
        started = int(self._outside.wall())
        about = AgentIdentity(made, secrets.token_hex(8), socket.gethostname(), version("glowing-fiesta"), started)
        reports = Reports(about, self.snapshot, self.forwarder.answered.points)
        self._sender.report = reports.header
        return reports

    def _open_local_port(self, stack: AsyncExitStack) -> None:
        address = join_address(*self._settings.http)
        with starting(f"FIESTA_AGENT_HTTP {address}", OTHER_ADDRESS):
            server = serve(local_pages(self.snapshot), *self._settings.http, self.settle)
        stack.push_async_callback(server.close)
        self._tell(
            "status_open", f"http://{join_address(self._settings.http[0], server.port)}/metrics, /health and /status"
        )

    def _open_receivers(self, stack: ExitStack) -> None:
        """Open the sockets and the first window."""
        settings = self._settings
        limits = StreamLimits(room_for_connections(), settings.tcp_idle)
        core = self.aggregator.core
        hand_on = None if self._mirror is None else self._mirror.send
        routes = Routes(self.aggregator, self._journal, self.ledger, self._bad, hand_on, settings.gauges, self._tell)
        intakes = routes.intakes()
        reads = routes.reads(intakes)
        threaded = routes.threaded(intakes["UDP"], reads["UDP"])
        sockets = SocketSettings(
            settings.udp, settings.unix, settings.tcp, limits, settings.unix_stream, settings.threads, threaded
        )
        self.aggregator.when_due = Turns(self.aggregator.step).begin
        self.receivers = open_receivers(sockets, self._passed, intakes, reads, stack)
        report_passed(self._passed, sockets, self._tell)
        self._flush.open()
        if self._mirror is not None:
            if self.aggregator.others is not None:
                self._mirror.others = self.aggregator.others.mirror
            datagrams = (one for one in self.receivers if isinstance(one, DatagramReceiver) and one.is_udp)
            self._mirror.begin([one.address for one in datagrams])
        for receiver in self.receivers:
            receiver.start(asyncio.get_running_loop())
        names = ", ".join(receiver.name for receiver in self.receivers)
        self._tell("started", f"StatsD on {names}, counted by {counted_by(core is not None)}")

    def _loss_totals(self) -> Mapping[str, int]:
        """Totals since the start of the losses that /health reports while they grow."""
        statuses = [receiver.status() for receiver in self.receivers]
        return {
            "kernel_drops": sum(one.kernel_drops or 0 for one in statuses),
            "refused": sum(one.refused or 0 for one in statuses),
            "truncated": sum(one.truncated or 0 for one in statuses),
            **{reason: self.ledger.dropped[reason] for reason in OVER_CAP},
        }

    async def _flush_until(self, stop: asyncio.Event) -> None:
        """Close each window at its end, until ``stop``. The caller closes the last one.

        Only this loop sends signs of life to the watchdog. When the loop or the disk hangs, it sends none.
        """
        notify, attempts = self._outside.notify, self._attempts
        while not stop.is_set():
            left = self._flush.seconds_left()
            if left:
                await self._outside.pace.pause(min(left, notify.pause), stop)
            else:
                with attempts.guard("flush"):
                    await self._flush.close()
                with attempts.guard("unix_socket"):
                    self.receivers.make_files_again(self._tell)
                with attempts.guard("status"):
                    await self._tell_status()
            if not self._flush.behind:
                notify.alive()

    def _window_closed(self, start: int) -> None:
        """Tell the other stages that the window that began at ``start`` has ended."""
        self._growth.turn(self._loss_totals())
        self._bad.arm(self.ledger.dropped)
        if self.aggregator.others is not None:
            self.aggregator.others.arm()
        self.forwarder.window_closed(start)
        if self._mirror is not None:
            self._mirror.window_closed()
        self._tell_clients()

    def _tell_clients(self) -> None:
        """Log what clients lost before it reached us, once it is more than before."""
        sockets = [receiver.status() for receiver in self.receivers]
        statuses = self._clients.statuses(sockets)
        lost = sum(status.lost for status in statuses)
        if lost > self._clients_lost:
            self._tell("clients_lost", "; ".join(losses(statuses, sockets)))
        self._clients_lost = max(lost, self._clients_lost)

    async def _tell_status(self) -> None:
        if self._outside.notify.active:
            await self.settle()
            self._outside.notify.status(one_line(status(self.snapshot())))
