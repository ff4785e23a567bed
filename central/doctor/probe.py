"""Asks everything the service depends on, with the service's own settings. central.doctor.judge judges the answers.

Each question has a time limit, changes nothing, and works whether or not the service runs. A running service locks
the embedded store, so the store is then asked over the service's API.
"""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from cryptography import x509

from central.access.auth import parse_key
from central.access.key_file import read_key
from central.client import Client, ClientError, Target, target_of
from central.doctor import judge, servers
from central.doctor.judge import Finding, fails, ok, warning
from central.redis_link import RedisDown, RedisLink, RedisRefused
from central.redis_services import address_of, spill_of
from central.settings import Settings
from central.spill.spill import Spill
from central.store.base import ListedName, StoreError
from central.store.inspection import MAX_CLASHES, KeyState, StoreState
from central.store.migrations import MigrationError
from protocol.times import parse_time

T = TypeVar("T")

SECONDS: Final = 5.0
"""How long one dependency may take to answer."""
_USED: Final = "fiesta_revoked_key_requests_total"
_JUMPS: Final = "fiesta_clock_jumps_total"
_WAIT: Final = "fiesta_removal_wait_seconds"


class ServiceAnswers(NamedTuple):
    """What the running service said: the body of /ready, its version, its metrics as text."""

    ready: dict[str, Any]
    version: str
    metrics: str


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """All findings, each as soon as it is known: this host, the service, the store, Redis."""
    yield ok("settings", "can be used" + _kinds(settings))
    for finding in judge.data_folder(_folder(settings.data_dir)):
        yield finding
    yield _certificate(settings, time.time())
    answers, of_service = await asyncio.to_thread(_ask_service, settings)
    for finding in of_service:
        yield finding
    state, of_store = await _ask_store(settings, answers)
    for finding in of_store:
        yield finding
    given = settings.admin_key is not None
    yield judge.admin_key_file(_key_file(settings.data_dir / "admin.key"), state.keys if state else None, given=given)
    if state is not None:
        for finding in _judged(state, answers, settings):
            yield finding
    if settings.uses_redis:
        for finding in await _ask_redis(settings):
            yield finding


def _kinds(settings: Settings) -> str:
    redis = "no Redis" if not settings.uses_redis else f"Redis for limits, queue {settings.queue_connection}"
    return f": store {settings.db_connection}, {redis}, {settings.url}"


# --- this host


def _folder(path: Path) -> judge.Folder:
    there = path if path.exists() else next(parent for parent in path.absolute().parents if parent.exists())
    mode = path.stat().st_mode & 0o777 if path.exists() else None
    return judge.Folder(str(path), mode, os.access(there, os.W_OK | os.X_OK), shutil.disk_usage(there).free)


def _key_file(path: Path) -> judge.KeyFile:
    try:
        mode = path.stat().st_mode & 0o777
    except OSError:
        return judge.KeyFile(str(path))
    try:
        return judge.KeyFile(str(path), mode, parse_key(read_key(path)).public_id)
    except OSError as error:
        return judge.KeyFile(str(path), mode, fault=f"cannot be read: {error.strerror}")
    except ValueError:
        return judge.KeyFile(str(path), mode, fault="does not hold a key")


def _certificate(settings: Settings, now: float) -> Finding:
    if settings.tls_cert is None:
        return judge.certificate(None, None, now)
    first = x509.load_pem_x509_certificates(settings.tls_cert.read_bytes())[0]
    return judge.certificate(first.not_valid_after_utc.timestamp(), first.not_valid_before_utc.timestamp(), now)


# --- the running service


def _ask_service(settings: Settings) -> tuple[ServiceAnswers | None, list[Finding]]:
    """What the service answers, or None, and the findings about it."""
    if settings.listen[1] == 0:
        return None, [
            warning(
                "service",
                "METRICS_LISTEN has port 0, so the port of the service is unknown",
                "set the port that it uses",
            )
        ]
    client = Client(Target(settings.url, "", "", settings.tls_cert), timeout=SECONDS)
    try:
        date, body = client.status("/ready")
        # The Date header has whole seconds, rounded down, so adding half a second is the best estimate.
        # There is no Date while the service's clock has just jumped.
        ahead = parsedate_to_datetime(date).timestamp() + 0.5 - time.time() if date else 0.0
        ours = str(client.get("/openapi.json")["info"]["version"])
        answers = ServiceAnswers(body, ours, client.get_text("/metrics", {}))
        findings = list(judge.service(answers.ready, answers.version, version("glowing-fiesta")))
        findings.append(judge.clock_jumps(int(_number(answers.metrics, _JUMPS)), _number(answers.metrics, _WAIT)))
    except ClientError as error:
        if "no service answers" in str(error):
            return None, [warning("service", f"none runs at {settings.url}", "start it: fiesta-central serve")]
        return None, [fails("service", str(error), "see the service's log")]
    except (KeyError, TypeError, ValueError, AttributeError):
        what = f"what answers at {settings.url} is not the service"
        return None, [fails("service", what, "set METRICS_LISTEN, or stop the other program")]
    return answers, [*findings, judge.clock("the service", ahead, settings.clock_skew_seconds)]


def _number(metrics: str, sample: str) -> float:
    """The value of a sample without labels; 0 if an older service does not have it."""
    found = (line.rpartition(" ") for line in metrics.splitlines())
    return next((float(value) for name, _, value in found if name == sample), 0.0)


def _revoked_in_use(metrics: str) -> dict[int, int]:
    """Requests with a revoked key, by its id."""
    samples = (line.rpartition(" ") for line in metrics.splitlines() if line.startswith(f"{_USED}{{"))
    return {int(name.partition('"')[2].partition('"')[0]): int(float(value)) for name, _, value in samples}


# --- the store


async def _ask_store(settings: Settings, answers: ServiceAnswers | None) -> tuple[StoreState | None, list[Finding]]:
    """What the store holds, or None if it cannot be reached, and the findings about that."""
    if settings.db_connection == "mysql":
        from central.store.mysql.inspect import inspect_servers
        from central.store.open import read_from, servers_of

        listed = servers_of(settings)
        addresses = ", ".join(server.address for server in listed)
        hosts = "DB_HOSTS" if settings.db_hosts else "DB_HOST, DB_PORT"
        where = f"{hosts}, DB_DATABASE, DB_USERNAME and DB_PASSWORD; the server at {addresses}"
        return await _inspected(inspect_servers(listed, read_from(settings)), where)
    if answers is not None:
        return await asyncio.to_thread(
            _over_the_api, settings, (answers.ready.get("spill") or {}).get("rejected_points")
        )
    from central.store.duck.inspect import inspect_file
    from central.store.duck.store import FILE_NAME

    path = settings.data_dir / FILE_NAME
    if not path.exists():
        return None, [ok("store", f"{path} does not exist yet; the first start makes it")]
    return await _inspected(
        asyncio.to_thread(inspect_file, path), "that no other process has the file open, and who owns it"
    )


async def _inspected(inspection: Awaitable[StoreState], where: str) -> tuple[StoreState | None, list[Finding]]:
    try:
        async with asyncio.timeout(SECONDS):
            state = await inspection
    except TimeoutError:
        return None, [fails("store", f"no answer within {SECONDS:g} s", f"check {where}")]
    except MigrationError as error:
        return None, [fails("migrations", str(error), "start the version that belongs to this database")]
    except StoreError as error:
        return None, [fails("store", str(error), f"check {where}")]
    return state, [ok("store", f"{state.version} answers"), judge.migrations(state)]


def _over_the_api(settings: Settings, rejected: int | None) -> tuple[StoreState | None, list[Finding]]:
    """The embedded store of a running service."""
    try:
        client = Client(target_of(settings), timeout=SECONDS)
        keys = [
            KeyState(row["id"], row["prefix"][3:], row["name"], frozenset(row["scopes"]), _has_ended(row))
            for row in client.get("/api/admin/keys")["data"]
        ]
        last_run = client.get("/api/admin/retention")["data"]["last_run"]
        listed = client.get("/api/metrics", {"clashes": "true", "limit": str(MAX_CLASHES)})["data"]
    except ClientError as error:
        advice = (
            "see the findings admin.key and service; if no admin key is valid, restart the service: it makes a new one"
        )
        return None, [fails("store", f"open in the service, which did not answer: {error}", advice)]
    clashes = [ListedName(row["name"], row["type"], row["statsd_type"], row["clash_of"]) for row in listed]
    ran_last = parse_time(last_run) if last_run else 0
    state = StoreState("the embedded store", [], keys, ran_last, rejected, clashes=clashes)
    return state, [ok("store", "open in the running service, and answers")]


def _has_ended(row: Mapping[str, Any]) -> bool:
    """Whether a key of the list was revoked or has expired."""
    return row["revoked_at"] is not None or (
        row["expires_at"] is not None and parse_time(row["expires_at"]) <= time.time()
    )


def _judged(state: StoreState, answers: ServiceAnswers | None, settings: Settings) -> Iterator[Finding]:
    """The findings about what the store holds."""
    now = time.time()
    if state.ahead is not None:
        yield judge.clock("the database", state.ahead, settings.clock_skew_seconds)
    if state.variables:
        yield from judge.mysql_settings(state.variables)
        yield from servers.semi_sync(state.variables, state.servers)
    yield from servers.database_servers(state.servers)
    yield from servers.replicas(state.servers)
    yield from servers.read_servers(state.readers)
    if state.pending:
        return
    if state.last_partition:
        yield judge.partitions(state.last_partition, now)
    yield judge.admin_keys(state.keys, given=settings.admin_key is not None)
    if answers is not None:
        yield judge.revoked_in_use(state.keys, _revoked_in_use(answers.metrics))
    wait = _number(answers.metrics, _WAIT) if answers is not None else 0.0
    yield judge.retention(state.last_run, now, running=answers is not None, wait=wait)
    yield judge.rejected_points(state.rejected)
    if state.bad_histograms is not None:
        yield judge.histograms(state.bad_histograms)
    if state.bad_series is not None:
        yield judge.series(state.bad_series)
    yield judge.clashes(state.clashes)


# --- Redis


async def _ask_redis(settings: Settings) -> list[Finding]:
    address = address_of(settings)
    link = RedisLink(address, seconds=SECONDS)
    spill: Spill | None = None
    advice = (
        f"check REDIS_HOST, REDIS_PORT, REDIS_USERNAME and REDIS_PASSWORD; the server at {address.host}:{address.port}"
    )
    try:
        info = await link.run(lambda client: client.info())
        asked = time.time()
        seconds, micros = await link.run(lambda client: client.time())
        ahead = seconds + micros / 1e6 - (asked + time.time()) / 2
        server = judge.RedisServer(str(info["redis_version"]), None, info["used_memory"], info.get("maxmemory", 0))
        if settings.queue_connection == "redis":
            spill = spill_of(settings, link)
            state = await spill.refresh()
            server = judge.RedisServer(
                server.version, state.fault, server.used, server.most, state.entries, state.bad, state.lag_seconds
            )
    except (RedisDown, RedisRefused) as error:
        return [fails("redis", str(error), advice)]
    finally:
        await link.close()
    return [
        *judge.redis_server(server, settings.spill_max_bytes if spill is not None else None),
        judge.clock("Redis", ahead, settings.clock_skew_seconds),
    ]
