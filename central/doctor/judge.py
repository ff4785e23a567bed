"""Judges whether everything is as the service needs it. Each finding says what to do.

These functions are pure: central.doctor.probe collects what they judge. No finding holds a secret.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from central.retention import DAY
from central.store.base import ListedName
from central.store.inspection import MAX_CLASHES, KeyState, StoreState
from protocol.times import format_time

Status = Literal["ok", "warning", "fails"]

CLOCK_SECONDS: Final = 1.0
"""A larger difference between two clocks is reported."""
FREE_BYTES: Final = 1 << 30
LEAST_FREE_BYTES: Final = 100 << 20
PARTITION_DAYS: Final = 5
"""Central makes partitions seven days ahead. Fewer than this mean that it has not done so for days."""
RETENTION_SECONDS: Final = 26 * 3_600
CERTIFICATE_DAYS: Final = 30
LEAST_CERTIFICATE_DAYS: Final = 7
LAG_SECONDS: Final = 30.0
PACKET_BYTES: Final = 1 << 20
REDIS_VERSION: Final = (6, 2)


class Finding(NamedTuple):
    """What was checked, its status, what was found, and what to do if it is not ok."""

    check: str
    status: Status
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Finding:
    """The check found no fault."""
    return Finding(check, "ok", message)


def warning(check: str, message: str, advice: str) -> Finding:
    """It works now, but it will stop working later, or it works less well than it should."""
    return Finding(check, "warning", message, advice)


def fails(check: str, message: str, advice: str) -> Finding:
    """It does not work, or a promise of the service does not hold."""
    return Finding(check, "fails", message, advice)


def worst(findings: Sequence[Finding]) -> Status:
    """The worst status of all findings."""
    found = {finding.status for finding in findings}
    return "fails" if "fails" in found else "warning" if "warning" in found else "ok"


# --- this host


@dataclass(frozen=True)
class Folder:
    """The data folder. If it does not exist yet, ``mode`` is None and ``writable`` is about its parent."""

    path: str
    mode: int | None
    writable: bool
    free: int


def data_folder(folder: Folder) -> Iterator[Finding]:
    """METRICS_DATA_DIR: it can be written, no other user can open it, and its disk has room."""
    check = "data folder"
    if not folder.writable:
        yield fails(check, f"{folder.path} cannot be written by this user", "change its owner, or set METRICS_DATA_DIR")
    elif folder.mode is None:
        yield ok(check, f"{folder.path} does not exist yet; the first start makes it")
    elif folder.mode & 0o077:
        advice = f"chmod 700 {folder.path}"
        yield warning(check, f"{folder.path} is open to other users (mode {folder.mode & 0o777:o})", advice)
    else:
        yield ok(check, f"{folder.path} can be written by this user, and by no other")
    message = f"{folder.free / 2**30:.1f} GB free"
    if folder.free < LEAST_FREE_BYTES:
        yield fails("disk", message, "make room: with a full disk the service can acknowledge nothing")
    elif folder.free < FREE_BYTES:
        yield warning("disk", message, "make room before it is full")
    else:
        yield ok("disk", message)


@dataclass(frozen=True)
class KeyFile:
    """The file admin.key. ``mode`` is None if there is no file; ``fault`` says why no key can be read from it."""

    path: str
    mode: int | None = None
    public_id: str | None = None
    fault: str | None = None


def admin_key_file(file: KeyFile, keys: Sequence[KeyState] | None, *, given: bool) -> Finding:
    """The key that the command line uses. ``keys`` is None if the store could not be asked."""
    check = "admin.key"
    if file.mode is None:
        if given:
            return ok(check, "not needed: METRICS_ADMIN_KEY is set")
        if keys is None or not any("admin" in key.scopes for key in keys):
            return ok(check, "does not exist yet; the first start makes it")
        advice = "run the command line where the file is, or set METRICS_ADMIN_KEY"
        return warning(check, f"no key at {file.path}: the command line has no key to use", advice)
    if file.mode & 0o077:
        advice = f"chmod 600 {file.path}; if others may have read it, rotate the key and write the new one there"
        return fails(check, f"{file.path} can be read by other users (mode {file.mode & 0o777:o})", advice)
    if file.fault is not None:
        advice = "run this as the service's user, or write a key with scope admin there, or set METRICS_ADMIN_KEY"
        return fails(check, f"{file.path} {file.fault}", advice)
    row = next((key for key in keys or () if key.public_id == file.public_id), None)
    if keys is not None and (row is None or row.revoked):
        what = "not one of this store's" if row is None else "revoked"
        advice = "write an admin key of this store there, or make METRICS_DATA_DIR and DB_* name one service's"
        return warning(check, f"the key in {file.path} is {what}", advice)
    return ok(check, f"{file.path}, which no other user can read")


def certificate(until: float | None, since: float | None, now: float) -> Finding:
    """The TLS certificate. ``until`` and ``since`` are Unix seconds, and None if the service has no certificate."""
    check = "certificate"
    if until is None or since is None:
        return ok(check, "the service has none (it listens on loopback, or a proxy does TLS)")
    days = (until - now) / DAY
    message = f"valid until {format_time(int(until))}"
    if since > now:
        return fails(
            check, f"not valid before {format_time(int(since))}", "set the clock right, or replace the certificate"
        )
    if days < 0:
        return fails(check, f"expired at {format_time(int(until))}", "renew METRICS_TLS_CERT and restart")
    if days < LEAST_CERTIFICATE_DAYS:
        return fails(check, f"{message}, {days:.0f} days", "renew METRICS_TLS_CERT now and restart")
    if days < CERTIFICATE_DAYS:
        return warning(check, f"{message}, {days:.0f} days", "renew METRICS_TLS_CERT and restart")
    return ok(check, message)


def clock(whose: str, difference: float, skew: float) -> Finding:
    """Compares another clock with this host's. ``difference`` is in seconds, positive if the other clock is ahead."""
    check = f"clock of {whose}"
    if abs(difference) < CLOCK_SECONDS:
        return ok(check, f"agrees with this host's ({difference:+.2f} s)")
    way = "ahead of" if difference > 0 else "behind"
    message = f"{abs(difference):.1f} s {way} this host's"
    advice = "run an NTP client (chrony, systemd-timesyncd) on both hosts"
    return (fails if abs(difference) > max(skew, CLOCK_SECONDS) else warning)(check, message, advice)


# --- the store


def migrations(state: StoreState) -> Finding:
    """Whether all migrations of this version are applied."""
    if state.pending:
        advice = "start the service, or run fiesta-central migrate"
        return warning("migrations", f"not applied yet: {', '.join(state.pending)}", advice)
    return ok("migrations", "all applied")


_LOST: Final = "acknowledged commits can be lost if the power fails"
_REQUIRED: Final[dict[str, tuple[frozenset[str], str]]] = {
    "innodb_flush_log_at_trx_commit": (frozenset({"1", "3"}), _LOST),
    "innodb_doublewrite": (frozenset({"ON", "1", "DETECT_AND_RECOVER"}), "a half-written page cannot be repaired"),
    "read_only": (frozenset({"OFF", "0"}), "nothing can be written; is this a replica?"),
    "sync_binlog": (frozenset({"1"}), f"with a binary log, {_LOST}"),
}
"""The allowed values of each setting, and what happens with another. MariaDB's 3 syncs as 1 does."""
_ADVICE: Final = {"innodb_doublewrite": "ON", "read_only": "OFF"}


def mysql_settings(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Server settings that decide whether a commit survives a crash and whether it is accepted."""
    logs = variables.get("log_bin", "OFF").upper() in {"ON", "1"}
    for name, (right, why) in _REQUIRED.items():
        if name == "sync_binlog" and not logs:
            continue
        value = variables.get(name, "unknown")
        if value.upper() in right:
            yield ok(f"database {name}", value)
        else:
            advice = f"set {name} = {_ADVICE.get(name, '1')}, in the server's configuration file too"
            yield fails(f"database {name}", f"{value}: {why}", advice)
    if logs:
        yield _binlog_format(variables.get("binlog_format", "unknown"))
    yield _packet(int(variables.get("max_allowed_packet", "0")))


def _binlog_format(value: str) -> Finding:
    if value.upper() == "STATEMENT":
        why = "STATEMENT: transactions at READ COMMITTED, as ours are, are refused"
        return fails("database binlog_format", why, "set binlog_format = ROW")
    return ok("database binlog_format", value)


def _packet(size: int) -> Finding:
    if size < PACKET_BYTES:
        advice = "set max_allowed_packet = 16M"
        return fails("database max_allowed_packet", f"{size} bytes: groups of points may be refused", advice)
    return ok("database max_allowed_packet", f"{size / 2**20:.0f} MB")


def partitions(last: Mapping[str, int], now: float) -> Finding:
    """Whether the coming days have partitions. ``last`` is the last day of each table, in days since 1970."""
    ahead = min(last.values()) - int(now // DAY)
    tables = ", ".join(sorted(table for table, day in last.items() if day - int(now // DAY) == ahead))
    advice = "start the service, which makes them; if it runs, look for upkeep_failed in its log"
    if ahead < 1:
        return fails("partitions", f"none for the next day in {tables}", advice)
    if ahead < PARTITION_DAYS:
        return warning("partitions", f"only {ahead} days ahead in {tables}", advice)
    return ok("partitions", f"{ahead} days ahead")


def admin_keys(keys: Sequence[KeyState], *, given: bool) -> Finding:
    """Whether a key exists that can make and revoke keys."""
    live = [key for key in keys if "admin" in key.scopes and not key.revoked]
    if live:
        return ok("admin keys", f"{len(live)} of {sum(not key.revoked for key in keys)} valid keys")
    if given:
        return ok("admin keys", "none in the store; METRICS_ADMIN_KEY is set")
    advice = "restart the service: if no admin key is valid, it writes a new one to admin.key in its data folder"
    return (fails if keys else warning)("admin keys", "none is valid: nobody can make or revoke keys", advice)


def revoked_in_use(keys: Sequence[KeyState] | None, used: Mapping[int, int]) -> Finding:
    """Keys that are revoked and still used. ``used`` counts their requests by key id, since the service started."""
    check = "revoked keys"
    if not used:
        return ok(check, "none in use")
    names = {key.id: key.name for key in keys or ()}
    listed = ", ".join(f"{key_id} ({names.get(key_id, '?')}): {count} requests" for key_id, count in used.items())
    return warning(
        check, f"still in use: {listed}", "give these senders a new key; the service refuses their requests with 401"
    )


def retention(last_run: int | None, now: float, *, running: bool, wait: float = 0.0) -> Finding:
    """Whether the daily run happened. The service may wait for ``wait`` more seconds until it trusts the clock."""
    check = "retention"
    if not last_run:
        if running and wait:
            return ok(check, f"has not run yet; it runs when the clock has been steady for {wait:.0f} s more")
        if running:
            return warning(check, "has not run yet", "wait a minute; then see retention_failed in the service's log")
        return ok(check, "has not run yet; a running service runs it daily")
    message = f"last ran at {format_time(last_run)}"
    if now - last_run > RETENTION_SECONDS:
        advice = "see retention_failed in the service's log" if running else "start the service, which runs it daily"
        return warning(check, message, f"{advice}, or run fiesta-central retention run")
    return ok(check, message)


def clock_jumps(jumps: int, wait: float) -> Finding:
    """Jumps of this host's clock since the service started. It removes no old data for ``wait`` more seconds."""
    check = "clock jumps"
    if not jumps:
        return ok(check, "none since the service started")
    message = f"{jumps} since the service started" + (f"; it removes nothing for {wait:.0f} s more" if wait else "")
    return warning(check, message, "check the time service of this host (timedatectl, chrony)")


def rejected_points(count: int | None) -> Finding:
    """Points from the spill that could not be stored under their name."""
    check = "rejected points"
    if not count:
        return ok(check, "none")
    advice = "look at the table rejected_points (reason), store them by hand or delete them: docs/spill.md"
    return warning(check, f"{count} acknowledged points could not be stored under their name", advice)


def histograms(bad: int | None) -> Finding:
    """Merged histograms that cannot be right."""
    check = "histograms"
    if not bad:
        return ok(check, "none is wrong, of those looked at")
    advice = "delete all rows of the tables histogram_*: queries read raw points then, and stay exact"
    return fails(check, f"{bad} cannot be read, or hold more samples than there were", advice)


def series(bad: int | None) -> Finding:
    """Hours and minutes of names that have fewer samples than their series."""
    check = "series"
    if not bad:
        return ok(check, "no name has fewer samples than its series, of those looked at")
    return fails(
        check,
        f"{bad} hours or minutes of names have fewer samples than their series",
        "please report this: it is a bug in the service",
    )


def clashes(names: Sequence[ListedName]) -> Finding:
    """Names that were sent with more than one StatsD type. No sample is lost, but they are split over two names."""
    check = "clashes of names"
    if not names:
        return ok(check, "none")
    more = " and perhaps more" if len(names) == MAX_CLASHES else ""
    listed = ", ".join(f"{found.clash_of} (its {found.owner}s are in {found.name})" for found in names)
    advice = "send each type under its own name, then delete the name that gets no more samples"
    return warning(check, f"{listed}{more}", advice)


# --- the service


def service(ready: Mapping[str, Any], version: str, ours: str) -> Iterator[Finding]:
    """The running service: ``ready`` is the body of /ready, ``version`` the service's, ``ours`` this program's."""
    check = "service"
    bad = [f"{name}: {said}" for name, said in ready["dependencies"].items() if said != "ok"]
    if ready["status"] == "ready":
        yield ok(check, f"runs, version {version}")
    elif ready["status"] == "degraded":
        yield warning(
            check, f"runs degraded: {'; '.join(bad)}", "writes are still acknowledged; repair what is named here"
        )
    else:
        yield fails(check, f"cannot acknowledge writes: {'; '.join(bad)}", "repair what is named here")
    if version != ours:
        yield warning("version", f"the service is {version}, this program {ours}", "restart the service")


# --- Redis


@dataclass(frozen=True)
class RedisServer:
    """What the Redis server reports. ``spill_fault`` says why it cannot hold the spill; None if it can, or need not."""

    version: str
    spill_fault: str | None
    used: int
    most: int
    """maxmemory; 0 for no limit."""
    entries: int = 0
    bad: int = 0
    lag: float = 0.0


def redis_server(server: RedisServer, spill_bytes: int | None) -> Iterator[Finding]:
    """The server, and the spill if there is one. ``spill_bytes`` is how large the spill may become."""
    numbers = tuple(int(number) for number in server.version.split(".")[:2] if number.isdigit())
    if numbers < REDIS_VERSION:
        yield fails("redis", f"version {server.version}", "upgrade to 6.2 or later")
    else:
        yield ok("redis", f"version {server.version} answers")
    if spill_bytes is None:
        return
    if server.spill_fault is not None:
        yield fails(
            "spill",
            server.spill_fault,
            "repair this; until then a write gets 503 while the database is down: docs/spill.md",
        )
    else:
        yield ok("spill", "durable: append-only file, fsync always, nothing is evicted")
    yield _headroom(server, 2 * spill_bytes)
    if server.bad:
        advice = "read them in the stream fiesta:{spill}:groups:bad: docs/spill.md"
        yield warning("spill entries", f"{server.bad} could not be read and were set aside", advice)
    if server.lag > LAG_SECONDS:
        advice = "start the service, or see drain_ and store_ events in its log"
        yield warning("spill entries", f"{server.entries} wait, the oldest for {server.lag:.0f} s", advice)
    elif not server.bad:
        yield ok("spill entries", f"{server.entries} wait")


def _headroom(server: RedisServer, needed: int) -> Finding:
    """Whether Redis has ``needed`` free bytes: a full spill takes about twice METRICS_SPILL_MAX_BYTES of memory."""
    check = "spill memory"
    if not server.most:
        return ok(check, "Redis has no maxmemory; make sure the host has twice METRICS_SPILL_MAX_BYTES free")
    free = server.most - server.used
    message = f"{free / 2**20:.0f} MB free of maxmemory, {needed / 2**20:.0f} MB needed for a full spill"
    if free < needed:
        return warning(check, message, "raise Redis' maxmemory, or lower METRICS_SPILL_MAX_BYTES")
    return ok(check, message)
