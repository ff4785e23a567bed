"""Wires the central service. Only this file knows all of its parts."""

import asyncio
import contextlib
import gc
import secrets
import signal
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry, ProcessCollector

from central.access.auth import BCRYPT_COST, Auth
from central.access.first_key import ADMIN_KEY_FILE, ensure_admin_key
from central.access.redis_limit import LIMIT_SECONDS
from central.access.refusals import Refusals
from central.access.uses import KeyUses
from central.compiled import CORE, OUTDATED
from central.fair_slots import FairSlots
from central.fleet.agents import Agents
from central.fleet.upkeep import FleetUpkeep
from central.graphite.paths import Finder
from central.ingest.names import Names
from central.meters import Meters, Sources
from central.redis_services import RedisServices, with_outage_guard
from central.retention import Policy, Retention
from central.settings import Settings, url_of
from central.store.base import Caps, Store, StoreError
from central.store.migrations import MigrationError, OnMigration
from central.store.mysql.servers import ServerCounts
from central.store.open import OpenStore, open_store, server_counts
from central.store.series import SeriesCaps
from central.web import probes
from central.web.admin import BACKUPS, BackupEndpoint, MetricEndpoints
from central.web.admin import SLOTS as BACKUP_SLOTS
from central.web.agents import AgentEndpoints
from central.web.bodies import BODY_SECONDS, Bodies
from central.web.connections import ConnectionBounds, Connections, within_descriptors
from central.web.counts import RequestCounts
from central.web.export import EXPORTS, ExportBounds, ExportEndpoint, ExportParts
from central.web.export import SLOTS as EXPORT_SLOTS
from central.web.gate import Gate
from central.web.graphite import GraphiteEndpoints
from central.web.graphite_render import DrawingParts, GraphiteDrawing
from central.web.ingest import IngestEndpoints
from central.web.keys import KeyEndpoints, KeyRules
from central.web.listing import ListEndpoint
from central.web.middleware import SLOW_SECONDS, MiddlewareOptions, careful, middleware
from central.web.open_requests import OpenRequests
from central.web.query import QUERIES, QueryEndpoints
from central.web.query import SLOTS as QUERY_SLOTS
from central.web.routes import Endpoints, application
from central.web.series import SeriesEndpoints
from central.web.server import MAX_HEADER, MAX_LINE, Runner
from central.web.stopping import stop_listening
from central.web.tls_failures import count_handshakes
from central.write.group_commit import GroupCommit
from central.write.write_check import WriteCheck
from runtime.addresses import is_loopback
from runtime.compiled_core import OUTDATED_MESSAGE
from runtime.plausible_clock import GRACE_SECONDS, PlausibleClock
from runtime.private_files import make_private_file, make_private_folder
from runtime.start_error import StartError, starting
from runtime.systemd import Notifier, show_life, silent

DRAIN_SECONDS: Final = 15.0
_CLOSE_SECONDS: Final = 1.0
_HOLD_DATA: Final = ("fiesta.duckdb*", f"{ADMIN_KEY_FILE}*")
_SWITCH_SECONDS: Final = 0.0002
_GC_THRESHOLD: Final = (100_000, 50, 100)
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outside:
    """What the service uses from its surroundings: clocks, the store's wrapper, time limits. Tests replace it."""

    clock: Callable[[], float] = time.time
    """UTC seconds."""
    ticks: Callable[[], float] = time.monotonic
    """Monotonic seconds."""
    limit_seconds: float = LIMIT_SECONDS
    """How many seconds a round trip to Redis for rate limits may take."""
    bcrypt_cost: int = BCRYPT_COST
    wrap_store: Callable[[Any], Store] = lambda store: store
    body_seconds: float = BODY_SECONDS
    slow_seconds: float = SLOW_SECONDS
    connections: ConnectionBounds = field(default_factory=ConnectionBounds)
    drain_seconds: float = DRAIN_SECONDS
    """How long a stop waits for open requests, and then for commits."""
    notify: Notifier = field(default_factory=silent)
    export: ExportBounds = field(default_factory=ExportBounds)


_REAL: Final = Outside()
_ASK_THE_DOCTOR: Final = (
    "; check that the server is up, that DB_HOST or DB_HOSTS, DB_PORT, DB_DATABASE, DB_USERNAME and DB_PASSWORD are "
    "right, and that the user has the rights in docs/operations.md; 'fiesta-central doctor' shows more"
)


@dataclass(frozen=True, slots=True)
class _Core:
    """The parts behind the HTTP edge. ``serve`` starts them and closes them."""

    store: Store
    redis: RedisServices
    auth: Auth
    names: Names
    commits: GroupCommit
    retention: Retention
    clock: PlausibleClock
    uses: KeyUses
    agents: Agents
    fleet: FleetUpkeep
    databases: ServerCounts

    def start(self, clock: Callable[[], float]) -> None:
        self.commits.start()
        self.retention.start()
        self.uses.start()
        self.fleet.start()
        self.redis.start(self.auth, self.store, self.names, self.commits, clock)

    async def close(self, seconds: float) -> None:
        """Store what was received, then close everything. Call it after the last request."""
        async with contextlib.AsyncExitStack() as stack:  # each is closed, also when one before it fails
            stack.push_async_callback(self.store.close)
            stack.callback(self.auth.close)
            stack.push_async_callback(self.redis.close)
            stack.push_async_callback(_drain, self.commits, seconds)
            stack.push_async_callback(self.uses.close)
            stack.push_async_callback(self.fleet.close)
            stack.push_async_callback(self.retention.close)


async def serve(
    settings: Settings,
    *,
    ready: Callable[[int], None] | None = None,
    stop: asyncio.Event | None = None,
    outside: Outside = _REAL,
) -> None:
    """Run the service until ``stop`` is set. By default SIGTERM and SIGINT set it. ``ready`` is called with the port.

    Before this returns, everything that was received is stored. Raises OSError if the port is in use, and StartError
    for any other fault that an operator must correct.
    """
    stop = stop or _stopped_by_signals()
    tls = _tls(settings)
    clock = PlausibleClock(outside.clock, outside.ticks, on_jump=_log_jump)
    opened = await _open_store(settings, clock=outside.clock, may_remove=clock.settled)
    guarded = with_outage_guard(outside.wrap_store(opened), settings)
    core = _core(settings, guarded, clock, outside, server_counts(opened))
    store = core.store
    open_requests, counts = OpenRequests(), RequestCounts()
    count_handshakes(tls, counts.handshakes)
    runner = _runner(settings, core, outside, open_requests, counts)
    # The writer thread needs the interpreter lock after each statement. By default it may wait 5 ms for it each time.
    sys.setswitchinterval(_SWITCH_SECONDS)
    # A batch makes thousands of small objects without cycles. By default the collector would run at every 700 of them.
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLD)
    core.start(outside.clock)
    try:
        await ensure_admin_key(core.auth, store, settings.data_dir, settings.rate_limit_default)
        await core.names.series.count()
        await core.fleet.exchange()
        await runner.setup()
        host, port = settings.listen
        if tls is not None:
            runner.require_tls(tls)
        site = web.TCPSite(runner, host, port, backlog=1024, reuse_port=settings.reuse_port or None)
        await site.start()
        bound = runner.addresses[0][1]
        if OUTDATED:
            _log.warning("core_outdated", message=OUTDATED_MESSAGE)
        _log.info(
            "serving",
            host=host,
            port=bound,
            tls=tls is not None,
            store=settings.db_connection,
            compiled=CORE is not None,
        )
        if ready is not None:
            ready(bound)
        outside.notify.status(f"serving {url_of(host, bound, tls=tls is not None)} from {settings.db_connection}")
        outside.notify.ready()
        await show_life(outside.notify, lambda: core.commits.running, stop)
    finally:
        outside.notify.stopping()
        await stop_listening(runner, runner.connections, open_requests, outside.drain_seconds)
        await core.close(outside.drain_seconds)
        _log.info("stopped")


def _core(settings: Settings, store: Store, clock: PlausibleClock, outside: Outside, databases: ServerCounts) -> _Core:
    redis = RedisServices(settings, outside.ticks, outside.limit_seconds)
    names = Names(
        store,
        Caps(settings.max_names, settings.max_names_per_key),
        SeriesCaps(settings.max_series, settings.max_series_per_metric),
    )
    auth = Auth(
        store.keys,
        given_admin_key=settings.admin_key,
        rate_limit=settings.rate_limit_default,
        clock=outside.ticks,
        cost=outside.bcrypt_cost,
    )
    retention = Retention(
        store.retention,
        Policy(settings.retention_days, settings.retention_grace_days),
        clock=outside.clock,
        ticks=outside.ticks,
    )
    retention.may_remove = clock.settled
    commits = GroupCommit(store, names, spill=redis.spill, clock=outside.clock)
    agents = Agents(secrets.token_hex(8), outside.clock)
    fleet, uses = FleetUpkeep(agents, store.agents), KeyUses(store.keys.note_uses)
    return _Core(store, redis, auth, names, commits, retention, clock, uses, agents, fleet, databases)


def _log_jump(seconds: float) -> None:
    _log.warning("clock_jumped", seconds=round(seconds, 3), nothing_is_removed_for_seconds=int(GRACE_SECONDS))


def _runner(
    settings: Settings, core: _Core, outside: Outside, open_requests: OpenRequests, counts: RequestCounts
) -> Runner:
    ours = version("glowing-fiesta")
    options = MiddlewareOptions(settings.cors_origins, outside.slow_seconds)
    host = settings.listen[0]
    loopback = host if is_loopback(host) and not settings.behind_proxy else None
    gate = Gate(core.auth, core.redis.limiter, core.uses, Refusals(), outside.clock)
    endpoints = _endpoints(settings, core, outside, counts, _registry(core, counts, settings.db_connection, ours))
    app = application(endpoints, gate, middleware(options, counts, open_requests), ours, loopback)
    app.on_response_prepare.append(careful(core.clock.doubtful))
    return Runner(
        app,
        counts.unreadable,
        Connections(within_descriptors(outside.connections), counts.busy),
        access_log=None,
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_HEADER,
        shutdown_timeout=_CLOSE_SECONDS,
    )


def _endpoints(
    settings: Settings, core: _Core, outside: Outside, counts: RequestCounts, registry: CollectorRegistry
) -> Endpoints:
    """Make the endpoints, each with only the parts that it needs."""
    store, names, commits, redis = core.store, core.names, core.commits, core.redis
    bodies = Bodies(counts.busy, outside.body_seconds)
    slots = FairSlots(QUERIES, QUERY_SLOTS, counts.busy)
    finder = Finder(store, names)
    return Endpoints(
        ingest=IngestEndpoints(
            *(commits, bodies, outside.clock, settings.clock_skew_seconds, counts.rejected, core.clock.doubtful),
            core.agents,
        ),
        queries=QueryEndpoints(store, names, core.retention, redis.spill, slots, finder, outside.clock),
        listing=ListEndpoint(store, finder, core.retention, redis.spill, slots, outside.clock),
        export=ExportEndpoint(
            ExportParts(store, names, finder, core.retention, redis.spill, slots, outside.clock),
            settings.data_dir,
            FairSlots(EXPORTS, EXPORT_SLOTS, counts.busy),
            outside.export,
        ),
        series=SeriesEndpoints(store, names, commits, slots),
        graphite=GraphiteEndpoints(store, finder, bodies, slots),
        drawing=GraphiteDrawing(DrawingParts(store, finder, core.retention, redis.spill, bodies, slots, outside.clock)),
        keys=KeyEndpoints(
            store,
            core.auth,
            core.uses,
            redis.announce,
            bodies,
            outside.clock,
            redis.limiter.used,
            KeyRules(settings.rate_limit_default, other_admin=settings.admin_key is not None),
        ),
        metrics=MetricEndpoints(store, names, commits),
        agents=AgentEndpoints(core.agents),
        backup=BackupEndpoint(store, settings.data_dir, FairSlots(BACKUPS, BACKUP_SLOTS, counts.busy)),
        retention=core.retention,
        bodies=bodies,
        health=probes.health(settings.clock_skew_seconds),
        ready=probes.ready(
            *(store, redis, WriteCheck(store, commits, outside.clock, outside.ticks), core.clock),
            core.databases.replication,
        ),
        scrape=probes.metrics(registry),
    )


def _registry(core: _Core, counts: RequestCounts, store_name: str, ours: str) -> CollectorRegistry:
    commits = core.commits
    sources = Sources(
        version=ours,
        store_name=store_name,
        store=core.store,
        writes=commits.counts,
        waiting=lambda: commits.waiting,
        series=lambda: core.names.series.stored,
        auth=core.auth.counts,
        http=counts,
        retention=core.retention.counts,
        redis=core.redis,
        clock=core.clock,
        agents=core.agents,
        databases=core.databases,
    )
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(Meters(sources))
    return registry


def migrate(settings: Settings, on_migration: OnMigration | None = None) -> list[str]:
    """Apply migrations and make the first admin key. Returns the names of the migrations applied. Raises StartError."""
    return asyncio.run(_migrate(settings, on_migration))


async def _migrate(settings: Settings, on_migration: OnMigration | None) -> list[str]:
    store = await _open_store(settings, on_migration)
    auth = Auth(store.keys)
    try:
        await ensure_admin_key(auth, store, settings.data_dir, settings.rate_limit_default)
        return store.applied
    finally:
        auth.close()
        await store.close()


async def _open_store(
    settings: Settings,
    on_migration: OnMigration | None = None,
    *,
    clock: Callable[[], float] = time.time,
    may_remove: Callable[[], bool] = lambda: False,
) -> OpenStore:
    with starting(f"METRICS_DATA_DIR {settings.data_dir}", "name a folder that this user may make and write"):
        make_private_folder(settings.data_dir)
        for pattern in _HOLD_DATA:
            for path in settings.data_dir.glob(pattern):
                make_private_file(path)
        for pattern in ("backup-*.tmp*", "export-*.tmp*"):
            for left in settings.data_dir.glob(pattern):
                left.unlink(missing_ok=True)
    try:
        return await open_store(settings, on_migration, clock=clock, may_remove=may_remove)
    except MigrationError as error:
        raise StartError(str(error)) from error
    except StoreError as error:
        if "Could not set lock" in str(error):
            raise StartError(
                f"another process uses the data folder {settings.data_dir}; stop it, or set METRICS_DATA_DIR"
            ) from error
        raise StartError(f"{error}{_ASK_THE_DOCTOR if settings.db_connection == 'mysql' else ''}") from error


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if settings.tls_cert is None or settings.tls_key is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"METRICS_TLS_CERT and METRICS_TLS_KEY cannot be used: {error}") from error
    return context


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _drain(commits: GroupCommit, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await commits.close()
    except TimeoutError:
        _log.error("stopped_with_a_commit_in_doubt", waiting=commits.waiting)
