"""The agent, wired: the only file that knows every stage."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from agent.aggregate import AggregateOptions, Aggregator
from agent.batch import batches
from agent.clock import CentreClock
from agent.compiled import CORE, MaybeCore
from agent.disk import Disk
from agent.forward import Forwarder, Pace, Told
from agent.gaugefile import GaugeFile
from agent.http import local_app, serve
from agent.key import ApiKey
from agent.ledger import Ledger
from agent.receive import RECEIVE_BUFFER, DatagramReceiver, open_udp, read_batches, read_each
from agent.report import Snapshot, TroubleFacts, counted_by, status
from agent.send import Sender
from agent.setting_rules import join_address
from agent.settings import Settings
from agent.spool import Spool, SpoolLimits
from agent.spoolfolder import AsideLimits, SpoolFolder
from agent.statustext import one_line
from agent.windows import seconds_left, window_start
from protocol.notify import Notifier, silent

LAST_SEND_SECONDS: Final = 3.0
"""What a stop allows for sending; what is not sent by then is in the spool."""


class StartError(Exception):
    """The agent cannot start; the message says what is in the way and what to do."""


@contextmanager
def starting(what: str, advice: str) -> Iterator[None]:
    """Turn an OSError within into a StartError."""
    try:
        yield
    except OSError as error:
        fault = error.strerror or str(error)
        raise StartError(f"{what} cannot be used: {fault}; {advice}") from None


def steady_time() -> float:
    """Seconds that go on while the host sleeps and that nobody can set."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Outside:
    """The world: clocks, waiting, the disk, what was compiled and who watches over us. Tests pass their own."""

    wall: Callable[[], float] = time.time
    steady: Callable[[], float] = steady_time
    pace: Pace = field(default_factory=Pace)
    disk: Disk = field(default_factory=Disk)
    core: MaybeCore = CORE
    notify: Notifier = field(default_factory=silent)


class Agent:
    """One agent. ``run`` it once. ``tell`` hears of changes of state."""

    def __init__(self, settings: Settings, key: ApiKey, tell: Told, outside: Outside) -> None:
        self._settings = settings
        self._tell = tell
        self._outside = outside
        self._ledger = Ledger()
        self._aggregator = Aggregator(
            AggregateOptions(
                max_names=settings.max_names, prefix=settings.prefix, tags=settings.tags, gauges=settings.gauges
            ),
            self._ledger,
            outside.core,
        )
        self._folder = SpoolFolder(settings.spool_dir, outside.disk, AsideLimits())
        self._gauges = GaugeFile(settings.spool_dir / "gauges.json", outside.disk)
        limits = SpoolLimits(settings.spool_max_bytes, settings.spool_max_files)
        self._spool = Spool(self._folder, self._ledger, limits)
        self._clock = CentreClock(outside.wall, outside.steady)
        with starting(f"CA_FILE {settings.ca_file}", "it must be a PEM file of certificates"):
            self._sender = Sender(settings.central_url, key, settings.ca_file)
        self._forwarder = Forwarder(self._spool, self._sender, self._clock, outside.pace, tell)
        self._receiver: DatagramReceiver | None = None
        self._window = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set, then stop so that nothing received is lost.

        Raises FolderInUseError when another agent has the spool folder, StartError when a port or the
        folder cannot be used.
        """
        async with AsyncExitStack() as stack:
            self._open_spool()
            stack.callback(self._spool.close)
            await self._open_books(stack)
            await stack.enter_async_context(self._sender)
            receiver = self._open_receiver(stack)
            forwarding = asyncio.create_task(self._forwarder.run())
            forwarding.add_done_callback(lambda _: stop.set())
            self._outside.notify.ready()
            await self._close_windows(stop)

            self._outside.notify.stopping()
            receiver.stop()
            receiver.drain()
            receiver.close()
            await self._close_window()
            forwarding.cancel()
            with suppress(asyncio.CancelledError):
                await forwarding  # raises what ended it, if that was not we
            with suppress(TimeoutError):
                async with asyncio.timeout(LAST_SEND_SECONDS):
                    await self._forwarder.finish()
            self._tell("stopped", f"{self._ledger.in_spool} samples wait in the spool for the next start")

    def snapshot(self) -> Snapshot:
        """All numbers of one moment."""
        self._aggregator.settle()
        ledger, counts, forward = self._ledger, self._folder.counts, self._forwarder
        receiver, trouble, last = self._receiver, forward.trouble, forward.counts.last_success
        return Snapshot(
            received=ledger.received,
            recovered=ledger.recovered,
            acknowledged=ledger.acknowledged,
            dropped=dict(ledger.dropped),
            in_window=ledger.in_window,
            in_spool=ledger.in_spool,
            notes=dict(ledger.notes),
            names=self._aggregator.live_names(),
            compiled=self._aggregator.core is not None,
            spool_batches=len(self._spool.index),
            spool_bytes=self._spool.index.size,
            spool_in_memory=self._spool.in_memory,
            spool_overflowing=self._spool.overflowing,
            held=forward.held(),
            corrupt_files=counts.corrupt_files,
            dead_letters=counts.dead_letters,
            dead_letters_removed=counts.dead_letters_removed,
            replayed=self._spool.replayed,
            disk_failures=counts.disk_failures,
            disk_trouble=counts.trouble,
            answers={f"{action}/{reason}": count for (action, reason), count in forward.counts.answers.items()},
            retries=forward.counts.retries,
            trouble=trouble and TroubleFacts(trouble.action, trouble.message, self._outside.steady() - trouble.since),
            last_success_age=None if last is None else self._outside.steady() - last,
            clock_ahead=self._clock.ahead() if self._clock.known else None,
            buffer_asked=RECEIVE_BUFFER,
            buffer_granted=receiver.granted if receiver else None,
            kernel_drops=receiver.kernel_drops() if receiver else None,
        )

    def _open_spool(self) -> None:
        with starting(f"the spool folder {self._folder.path}", "make it writable or set SPOOL_DIR"):
            self._spool.open()
        counts = self._folder.counts
        if counts.corrupt_files:
            self._tell("spool_corrupt", f"{counts.corrupt_files} bad files in {self._folder.path} moved to corrupt/")
        if self._ledger.recovered:
            self._tell("spool_recovered", f"{self._ledger.recovered} samples of the last run wait to be sent")
        try:
            self._aggregator.restore_gauges(self._gauges.load())
        except ValueError as error:
            self._ledger.notes["gauge_state_bad"] += 1
            self._tell("gauges_lost", f"gauges.json {error}; gauges start from 0")

    async def _open_books(self, stack: AsyncExitStack) -> None:
        address = join_address(*self._settings.http)
        with starting(f"HTTP {address}", "stop what listens there, or set HTTP to another port"):
            runner, port = await serve(local_app(self.snapshot), *self._settings.http)
        stack.push_async_callback(runner.cleanup)
        self._tell("books_open", f"http://{join_address(self._settings.http[0], port)}/metrics, /health and /status")

    def _open_receiver(self, stack: AsyncExitStack) -> DatagramReceiver:
        """Open the first window with the socket."""
        address = join_address(*self._settings.udp)
        with starting(f"UDP {address}", "stop what listens there, or set UDP to another port"):
            sock = open_udp(*self._settings.udp)
        core = self._aggregator.core
        read = read_batches(core, self._aggregator.settle_when_due) if core else read_each(self._aggregator.feed)
        self._receiver = receiver = DatagramReceiver(sock, read)
        stack.callback(receiver.close)
        self._window = self._window_now()
        receiver.start(asyncio.get_running_loop())
        self._tell(
            "started", f"StatsD on UDP {join_address(*receiver.address)}, counted by {counted_by(core is not None)}"
        )
        return receiver

    async def _close_windows(self, stop: asyncio.Event) -> None:
        """Close each window at its end, until ``stop``. The open one is left to the caller.

        The watchdog hears from here and from nowhere else: when this hangs, it hears nothing.
        """
        interval, notify = self._settings.flush_interval, self._outside.notify
        while not stop.is_set():
            left = seconds_left(self._window, interval, self._outside.wall())
            if left:
                await self._outside.pace.pause(min(left, notify.pause), stop)
            else:
                await self._close_window()
                self._tell_status()
            notify.alive()

    def _tell_status(self) -> None:
        if self._outside.notify.heard:
            self._outside.notify.status(one_line(status(self.snapshot())))

    async def _close_window(self) -> None:
        """Take the window out of the aggregate and make it durable: gauges first, see agent.gaugefile."""
        window = self._aggregator.close(self._window)
        gauges = self._aggregator.gauges()
        self._spool.add(batches(window))
        self._window = self._window_now()
        self._spool.take_replays()
        try:
            await asyncio.to_thread(self._gauges.save, gauges)
        except OSError as error:
            self._folder.failed(error)
        await self._spool.persist()
        self._forwarder.wake()

    def _window_now(self) -> int:
        return window_start(self._outside.wall(), self._settings.flush_interval)
