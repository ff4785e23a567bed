"""Is everything as the service needs it? Pure judgements: facts in, findings out, each with what to do.

central.doctor.probe gathers the facts. No finding holds a secret.
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
"""From this difference on clocks are told of."""
FREE_BYTES: Final = 1 << 30
LEAST_FREE_BYTES: Final = 100 << 20
PARTITION_DAYS: Final = 5
"""Central keeps seven days ahead; fewer than so many mean that nobody has for days."""
RETENTION_SECONDS: Final = 26 * 3_600
CERTIFICATE_DAYS: Final = 30
LEAST_CERTIFICATE_DAYS: Final = 7
LAG_SECONDS: Final = 30.0
PACKET_BYTES: Final = 1 << 20
REDIS_VERSION: Final = (6, 2)


class Finding(NamedTuple):
    """What was looked at, how it is, what was found, and what to do where it is not ok."""

    check: str
    status: Status
    message: str
    advice: str = ""


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", message)


def warning(check: str, message: str, advice: str) -> Finding:
    """It works, and will not for ever, or not as well as it should."""
    return Finding(check, "warning", message, advice)


def fails(check: str, message: str, advice: str) -> Finding:
    """It does not work, or promises more than it keeps."""
    return Finding(check, "fails", message, advice)


def worst(findings: Sequence[Finding]) -> Status:
    """Of all of them."""
    found = {finding.status for finding in findings}
    return "fails" if "fails" in found else "warning" if "warning" in found else "ok"


# --- this host


@dataclass(frozen=True)
class Folder:
    """The data folder. ``mode`` is None where it is not there yet; ``writable`` is then its parent's."""

    path: str
    mode: int | None
    writable: bool
    free: int


def data_folder(folder: Folder) -> Iterator[Finding]:
    """METRICS_DATA_DIR: there, ours alone, with room."""
    check = "data folder"
    if not folder.writable:
        yield fails(check, f"{folder.path} cannot be written by this user", "change its owner, or set METRICS_DATA_DIR")
    elif folder.mode is None:
        yield ok(check, f"{folder.path} is not there yet; the first start makes it")
    elif folder.mode & 0o077:
        advice = f"chmod 700 {folder.path}"
        yield warning(check, f"{folder.path} is open to other users (mode {folder.mode & 0o777:o})", advice)
    else:
        yield ok(check, f"{folder.path} can be written, and by this user alone")
    message = f"{folder.free / 2**30:.1f} GB free"
    if folder.free < LEAST_FREE_BYTES:
        yield fails("disk", message, "make room: with a full disk nothing can be acknowledged")
    elif folder.free < FREE_BYTES:
        yield warning("disk", message, "make room before it is full")
    else:
        yield ok("disk", message)


@dataclass(frozen=True)
class KeyFile:
    """admin.key. ``mode`` is None where there is none; ``fault`` is why it gives no key."""

    path: str
    mode: int | None = None
    public_id: str | None = None
    fault: str | None = None


def admin_key_file(file: KeyFile, keys: Sequence[KeyState] | None, *, given: bool) -> Finding:
    """The key that the command line shows. ``keys`` is None where the store does not tell."""
    check = "admin.key"
    if file.mode is None:
        if given:
            return ok(check, "not needed: METRICS_ADMIN_KEY is set")
        if keys is None or not any("admin" in key.scopes for key in keys):
            return ok(check, "not there yet; the first start makes it")
        advice = "run the command line where the file is, or set METRICS_ADMIN_KEY"
        return warning(check, f"no key at {file.path}: the command line has none to show", advice)
    if file.mode & 0o077:
        advice = f"chmod 600 {file.path}; where others may have read it, rotate the key and put the new one there"
        return fails(check, f"{file.path} can be read by other users (mode {file.mode & 0o777:o})", advice)
    if file.fault is not None:
        advice = "run this as the service's user; or put a key with scope admin there; or set METRICS_ADMIN_KEY"
        return fails(check, f"{file.path} {file.fault}", advice)
    row = next((key for key in keys or () if key.public_id == file.public_id), None)
    if keys is not None and (row is None or row.revoked):
        what = "not one of this store's" if row is None else "revoked"
        advice = "put a live admin key there, or point METRICS_DATA_DIR and DB_* at what belongs together"
        return warning(check, f"the key in {file.path} is {what}", advice)
    return ok(check, f"{file.path}, for this user alone")


def certificate(until: float | None, since: float | None, now: float) -> Finding:
    """TLS. ``until`` is None without a certificate of our own."""
    check = "certificate"
    if until is None or since is None:
        return ok(check, "no TLS of its own (loopback, or a proxy ends it)")
    days = (until - now) / DAY
    message = f"good until {format_time(int(until))}"
    if since > now:
        return fails(check, f"not good before {format_time(int(since))}", "set the clock right, or replace it")
    if days < 0:
        return fails(check, f"expired at {format_time(int(until))}", "renew METRICS_TLS_CERT and restart")
    if days < LEAST_CERTIFICATE_DAYS:
        return fails(check, f"{message}, {days:.0f} days", "renew METRICS_TLS_CERT now and restart")
    if days < CERTIFICATE_DAYS:
        return warning(check, f"{message}, {days:.0f} days", "renew METRICS_TLS_CERT and restart")
    return ok(check, message)


def clock(whose: str, difference: float, skew: float) -> Finding:
    """Another clock beside this host's, in seconds; positive where it is ahead."""
    check = f"clock of {whose}"
    if abs(difference) < CLOCK_SECONDS:
        return ok(check, f"agrees with this host's ({difference:+.2f} s)")
    way = "ahead of" if difference > 0 else "behind"
    message = f"{abs(difference):.1f} s {way} this host's"
    advice = "run an NTP client (chrony, systemd-timesyncd) on both hosts"
    return (fails if abs(difference) > max(skew, CLOCK_SECONDS) else warning)(check, message, advice)


# --- the store


def migrations(facts: StoreState) -> Finding:
    """Whether the tables are this version's."""
    if facts.pending:
        advice = "start the service, or run fiesta-central migrate"
        return warning("migrations", f"to be applied: {', '.join(facts.pending)}", advice)
    return ok("migrations", "all applied")


_LOST: Final = "commits that were acknowledged can be lost with the power"
_WANTED: Final[dict[str, tuple[frozenset[str], str]]] = {
    "innodb_flush_log_at_trx_commit": (frozenset({"1", "3"}), _LOST),
    "innodb_doublewrite": (frozenset({"ON", "1", "DETECT_AND_RECOVER"}), "a page half written cannot be mended"),
    "read_only": (frozenset({"OFF", "0"}), "nothing can be written; is this a replica?"),
    "sync_binlog": (frozenset({"1"}), f"with a binary log, {_LOST}"),
}
"""What each may be, and what happens otherwise. MariaDB's 3 syncs as 1 does."""
_ADVICE: Final = {"innodb_doublewrite": "ON", "read_only": "OFF"}


def mysql_settings(variables: Mapping[str, str]) -> Iterator[Finding]:
    """What decides whether a commit survives, and whether ours are taken at all."""
    logs = variables.get("log_bin", "OFF").upper() in {"ON", "1"}
    for name, (right, why) in _WANTED.items():
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
    """Whether the days to come have theirs."""
    ahead = min(last.values()) - int(now // DAY)
    tables = ", ".join(sorted(table for table, day in last.items() if day - int(now // DAY) == ahead))
    advice = "start the service: it makes them; if it runs, its log says upkeep_failed and why"
    if ahead < 1:
        return fails("partitions", f"none for the next day in {tables}", advice)
    if ahead < PARTITION_DAYS:
        return warning("partitions", f"only {ahead} days ahead in {tables}", advice)
    return ok("partitions", f"{ahead} days ahead")


def admin_keys(keys: Sequence[KeyState], *, given: bool) -> Finding:
    """Whether somebody can still make keys."""
    live = [key for key in keys if "admin" in key.scopes and not key.revoked]
    if live:
        return ok("admin keys", f"{len(live)} of {sum(not key.revoked for key in keys)} live keys")
    if given:
        return ok("admin keys", "none in the store; METRICS_ADMIN_KEY is set")
    advice = "restart the service: where no admin key lives it makes one, in admin.key of its data folder"
    return (fails if keys else warning)("admin keys", "none lives: nobody can make or revoke keys", advice)


def revoked_in_use(keys: Sequence[KeyState] | None, used: Mapping[int, int]) -> Finding:
    """Requests with revoked keys since the running process started, by the key's id."""
    check = "revoked keys"
    if not used:
        return ok(check, "none in use")
    names = {key.id: key.name for key in keys or ()}
    listed = ", ".join(f"{key_id} ({names.get(key_id, '?')}): {count} requests" for key_id, count in used.items())
    return warning(check, f"still sent: {listed}", "give these senders a new key; what they send is refused with 401")


def retention(last_run: int | None, now: float, *, running: bool, wait: float = 0.0) -> Finding:
    """Whether the daily run came; for ``wait`` seconds more the running service does not trust the clock with it."""
    check = "retention"
    if not last_run:
        if running and wait:
            return ok(check, f"has not run yet; it does when the clock has been steady for {wait:.0f} s more")
        if running:
            return warning(check, "has not run yet", "wait a minute; then see retention_failed in the service's log")
        return ok(check, "has not run yet; a running service does it daily")
    message = f"ran last at {format_time(last_run)}"
    if now - last_run > RETENTION_SECONDS:
        advice = "see retention_failed in the service's log" if running else "start the service: it runs daily in it"
        return warning(check, message, f"{advice}, or run fiesta-central retention run")
    return ok(check, message)


def clock_jumps(jumps: int, wait: float) -> Finding:
    """What the service saw of this host's clock since it started: jumps, and for how long it removes nothing more."""
    check = "clock jumps"
    if not jumps:
        return ok(check, "none since the service started")
    message = f"{jumps} since the service started" + (f"; it removes nothing for {wait:.0f} s more" if wait else "")
    return warning(check, message, "see to the time service of this host: timedatectl, chrony")


def rejected_points(count: int | None) -> Finding:
    """Points that came out of the spill and fitted no name."""
    check = "rejected points"
    if not count:
        return ok(check, "none")
    advice = "look at the table rejected_points (reason), store them by hand or delete them: docs/spill.md"
    return warning(check, f"{count} acknowledged points could not be stored under their name", advice)


def clashes(names: Sequence[ListedName]) -> Finding:
    """Names that came as more than one of StatsD's types. Nothing is lost, but somebody may look in the wrong place."""
    check = "clashes of names"
    if not names:
        return ok(check, "none")
    more = " and perhaps more" if len(names) == MAX_CLASHES else ""
    listed = ", ".join(f"{found.clash_of} (its {found.owner}s are in {found.name})" for found in names)
    advice = "give each type a name of its own where it is sent, then delete the name that nothing comes to any more"
    return warning(check, f"{listed}{more}", advice)


# --- the service


def service(ready: Mapping[str, Any], version: str, ours: str) -> Iterator[Finding]:
    """What the running service says of itself: the body of /ready, and its version beside that of this program."""
    check = "service"
    bad = [f"{name}: {said}" for name, said in ready["dependencies"].items() if said != "ok"]
    if ready["status"] == "ready":
        yield ok(check, f"runs, version {version}")
    elif ready["status"] == "degraded":
        yield warning(check, f"runs degraded: {'; '.join(bad)}", "writes are acknowledged; mend what is named here")
    else:
        yield fails(check, f"cannot acknowledge writes: {'; '.join(bad)}", "mend what is named here")
    if version != ours:
        yield warning("version", f"the service is {version}, this program {ours}", "restart the service")


# --- Redis


@dataclass(frozen=True)
class RedisFacts:
    """What the server says; ``spill_fault`` is why it is no place for the spill, None where none is asked of it."""

    version: str
    spill_fault: str | None
    used: int
    most: int
    """maxmemory; 0 for no limit."""
    entries: int = 0
    bad: int = 0
    lag: float = 0.0


def redis_server(facts: RedisFacts, spill_bytes: int | None) -> Iterator[Finding]:
    """The server, and the spill where ``spill_bytes`` says how large it may be."""
    numbers = tuple(int(part) for part in facts.version.split(".")[:2] if part.isdigit())
    if numbers < REDIS_VERSION:
        yield fails("redis", f"version {facts.version}", "upgrade to 6.2 or later")
    else:
        yield ok("redis", f"version {facts.version} answers")
    if spill_bytes is None:
        return
    if facts.spill_fault is not None:
        yield fails("spill", facts.spill_fault, "until then writes get 503 while the database is down: docs/spill.md")
    else:
        yield ok("spill", "durable: append-only file, fsync always, nothing is evicted")
    yield _headroom(facts, 2 * spill_bytes)
    if facts.bad:
        advice = "read them in the stream fiesta:spill:groups:bad: docs/spill.md"
        yield warning("spill entries", f"{facts.bad} could not be read and were set aside", advice)
    if facts.lag > LAG_SECONDS:
        advice = "start the service, or see drain_ and store_ events in its log"
        yield warning("spill entries", f"{facts.entries} wait, the oldest for {facts.lag:.0f} s", advice)
    elif not facts.bad:
        yield ok("spill entries", f"{facts.entries} wait")


def _headroom(facts: RedisFacts, needed: int) -> Finding:
    """METRICS_SPILL_MAX_BYTES needs about twice as much memory."""
    check = "spill memory"
    if not facts.most:
        return ok(check, "Redis has no maxmemory; see that the host has twice METRICS_SPILL_MAX_BYTES to spare")
    free = facts.most - facts.used
    message = f"{free / 2**20:.0f} MB free of maxmemory, {needed / 2**20:.0f} MB needed for a full spill"
    if free < needed:
        return warning(check, message, "raise Redis' maxmemory, or lower METRICS_SPILL_MAX_BYTES")
    return ok(check, message)
