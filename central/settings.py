"""The settings of the central service: METRICS_*, and DB_*, REDIS_* and QUEUE_* with the names that other programs use.

How to add one: see runtime.settings.
"""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Final, Literal

from central import setting_rules as own
from central.tls_client import ClientTls, tls_faults, tls_of
from protocol.limits import CLOCK_SKEW_SECONDS, ID_DAYS, MAX_CLOCK_SKEW_SECONDS
from runtime import setting_rules as rules
from runtime.addresses import from_this_host, is_loopback, join_address
from runtime.settings import Naming, load

OF_CLIENTS: Final = frozenset({"METRICS_URL", "METRICS_KEY"})
"""The examples for clients export these variables. Our programs must also start in a shell that has them."""
_DB_HOST: Final = "127.0.0.1"
NAMING: Final = Naming("METRICS_", without_prefix=("db_", "redis_", "queue_"), of_others=OF_CLIENTS, secret_files=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The operator's settings. Secrets never show in ``repr``."""

    listen: Annotated[
        tuple[str, int],
        rules.address("127.0.0.1:8080"),
        "The address and port where the service listens, `host:port`.",
    ] = ("127.0.0.1", 8080)
    data_dir: Annotated[Path, own.folder, "The folder of the embedded store and of `admin.key`."] = Path("data")
    admin_key: Annotated[
        str | None,
        own.admin_key,
        "A key with all scopes, for automation: 32 to 72 printable ASCII characters without spaces.",
    ] = field(default=None, repr=False)
    tls_cert: Annotated[Path | None, own.readable_file, "A PEM file with the certificate and its chain."] = None
    tls_key: Annotated[
        Path | None, own.readable_file, "A PEM file with the certificate's private key, without a passphrase."
    ] = None
    behind_proxy: Annotated[
        bool, rules.yes_or_no, "`true`, `1` or `yes`: a proxy in front of the service ends TLS."
    ] = False
    reuse_port: Annotated[
        bool,
        rules.yes_or_no,
        "`true`: several processes of the same user may listen on the same port (`SO_REUSEPORT`), if all of them have "
        "this setting.",
    ] = False
    cors_origins: Annotated[
        tuple[str, ...],
        own.origins,
        "The web origins whose pages may read answers in a browser, such as `https://dash.example.com`.",
    ] = ()
    rate_limit_default: Annotated[
        int, rules.whole(1, 1_000_000_000), "Requests per minute for a key that has no limit of its own."
    ] = 1_000
    retention_days: Annotated[
        int,
        rules.whole(ID_DAYS, 36_500, why="points up to 7 days old are accepted, and ids are kept 8 days"),
        "The number of days that points are kept.",
    ] = 90
    retention_grace_days: Annotated[
        int, rules.whole(0, 3_650), "The number of days between hiding old points and removing them."
    ] = 7
    clock_skew_seconds: Annotated[
        int,
        rules.whole(0, MAX_CLOCK_SKEW_SECONDS),
        "How many seconds `recorded_at` may be in the future, because clocks differ a little. The agents learn it "
        "from the service's answers.",
    ] = CLOCK_SKEW_SECONDS
    max_names: Annotated[int, rules.whole(1, 2_000_000_000), "The most metric names that there may be."] = 1_000_000
    max_names_per_key: Annotated[int, rules.whole(1, 2_000_000_000), "The most names that one key may make."] = 100_000
    max_series: Annotated[
        int, rules.whole(1, 500_000_000), "The most series, a name with its tags each, that there may be."
    ] = 1_000_000
    max_series_per_metric: Annotated[int, rules.whole(1, 500_000_000), "The most series that one name may have."] = (
        10_000
    )
    spill_max_bytes: Annotated[
        int, rules.whole(1 << 20, 1 << 50), "The most bytes that may wait in Redis while the database is down."
    ] = 1 << 30
    spill_replicas: Annotated[
        int | None,
        rules.whole(0, 100),
        "How many replicas of Redis must have an entry before it is acknowledged.",
    ] = None
    db_connection: Annotated[
        Literal["duckdb", "mysql"],
        rules.one_of("duckdb", "mysql", right="duckdb, or mysql for MySQL 8 and MariaDB"),
        "The store.",
    ] = "duckdb"
    db_host: Annotated[str, own.host, "The host of the database server."] = _DB_HOST
    db_hosts: Annotated[
        tuple[tuple[str, int | None], ...],
        own.hosts,
        "Several database servers instead of `DB_HOST`, `host` or `host:port`, separated by commas. The first that "
        "is a healthy primary is used, and the next one takes over when it is no longer healthy.",
    ] = ()
    db_read_hosts: Annotated[
        tuple[tuple[str, int | None], ...],
        own.hosts,
        "Servers that answer queries, `host` or `host:port`, separated by commas: replicas of the server that is "
        "written to, or nodes of its cluster.",
    ] = ()
    read_max_lag_seconds: Annotated[
        int,
        rules.whole(1, 10),
        "How many seconds a server of `DB_READ_HOSTS` may be behind. A query waits up to this time for it, and "
        "then asks the server that is written to.",
    ] = 1
    db_port: Annotated[
        int,
        rules.whole(1, 65_535),
        "The port of the database server, and of those of `DB_HOSTS` and `DB_READ_HOSTS` that have none.",
    ] = 3_306
    db_database: Annotated[str, rules.text, "The name of the database."] = "metrics"
    db_username: Annotated[str, rules.text, "The user of the database."] = "metrics"
    db_password: Annotated[str | None, rules.text, "The user's password."] = field(default=None, repr=False)
    db_tls_ca: Annotated[
        Path | None,
        own.readable_file,
        "A PEM file with the authorities to trust. Connections to the database are then encrypted, and its certificate "
        "must name its host.",
    ] = None
    db_tls_cert: Annotated[
        Path | None, own.readable_file, "A PEM file with the service's own certificate for the database."
    ] = None
    db_tls_key: Annotated[
        Path | None, own.readable_file, "A PEM file with that certificate's private key, without a passphrase."
    ] = None
    redis_host: Annotated[
        str | None,
        own.host,
        "The host of a Redis server (6.2 or later), or of a node of a Redis Cluster, that all processes of the service "
        "share.",
    ] = None
    redis_sentinels: Annotated[
        tuple[tuple[str, int | None], ...],
        own.hosts,
        "Redis Sentinels instead of `REDIS_HOST`, `host` or `host:port`, separated by commas. The port is 26379 unless "
        "you say otherwise. They know the primary, even after a fail-over.",
    ] = ()
    redis_sentinel_master: Annotated[str | None, rules.text, "The name of the primary at the sentinels."] = None
    redis_port: Annotated[int, rules.whole(1, 65_535), "The port of the Redis server."] = 6_379
    redis_username: Annotated[str | None, rules.text, "The user of the Redis server, if it has users (ACL)."] = None
    redis_password: Annotated[str | None, rules.text, "The password of the Redis server."] = field(
        default=None, repr=False
    )
    redis_tls_ca: Annotated[
        Path | None,
        own.readable_file,
        "A PEM file with the authorities to trust. Connections to Redis are then encrypted, and its certificate must "
        "name its host.",
    ] = None
    redis_tls_cert: Annotated[
        Path | None, own.readable_file, "A PEM file with the service's own certificate for Redis."
    ] = None
    redis_tls_key: Annotated[
        Path | None, own.readable_file, "A PEM file with that certificate's private key, without a passphrase."
    ] = None
    queue_connection: Annotated[
        Literal["redis", "none"],
        rules.one_of("redis", "none"),
        "Where writes wait while the database is down.",
    ] = "none"

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """The secrets, which no log line may hold."""
        return self.db_password, self.redis_password, self.admin_key

    @property
    def db_tls(self) -> ClientTls | None:
        """How connections to the database are encrypted."""
        return tls_of(self.db_tls_ca, self.db_tls_cert, self.db_tls_key)

    @property
    def redis_tls(self) -> ClientTls | None:
        """How connections to Redis are encrypted."""
        return tls_of(self.redis_tls_ca, self.redis_tls_cert, self.redis_tls_key)

    @property
    def uses_redis(self) -> bool:
        """Whether there is a Redis."""
        return self.redis_host is not None or bool(self.redis_sentinels)

    @property
    def url(self) -> str:
        """The URL at which a program on this host reaches the service."""
        return url_of(*self.listen, tls=self.tls_cert is not None)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in ``environ``. Raises SettingsError with all faults.

    Reads secrets that are in files. Reads the certificate files to check them. Changes nothing.
    """
    return load(Settings, NAMING, environ, check=_together)


def url_of(host: str, port: int, *, tls: bool) -> str:
    """The base URL for a client on this host. An address for all interfaces becomes the loopback address."""
    return f"{'https' if tls else 'http'}://{join_address(from_this_host(host), port)}"


def _together(settings: Settings) -> Iterator[str]:
    """Faults of settings that are each valid but do not fit together."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None and key is not None:
        yield "METRICS_TLS_CERT is missing; METRICS_TLS_KEY is set, and TLS needs both"
    elif cert is not None and key is None:
        yield "METRICS_TLS_KEY is missing; METRICS_TLS_CERT is set, and TLS needs both"
    elif cert is not None and key is not None and not _fit(cert, key):
        yield (
            "METRICS_TLS_KEY does not fit METRICS_TLS_CERT; they must be PEM files, a certificate (chain) and its "
            "private key without a passphrase"
        )
    yield from tls_faults("DB_TLS_", settings.db_tls_ca, settings.db_tls_cert, settings.db_tls_key)
    yield from tls_faults("REDIS_TLS_", settings.redis_tls_ca, settings.redis_tls_cert, settings.redis_tls_key)
    if settings.db_hosts and settings.db_host != _DB_HOST:
        yield "DB_HOST and DB_HOSTS are both set; keep one of them"
    if settings.redis_username is not None and settings.redis_password is None:
        yield "REDIS_PASSWORD is missing; REDIS_USERNAME is set, and a user needs a password"
    if settings.redis_host is not None and settings.redis_sentinels:
        yield "REDIS_HOST and REDIS_SENTINELS are both set; keep one of them"
    if bool(settings.redis_sentinels) != (settings.redis_sentinel_master is not None):
        missing, given = "REDIS_SENTINELS", "REDIS_SENTINEL_MASTER"
        if settings.redis_sentinels:
            missing, given = given, missing
        yield f"{missing} is missing; {given} is set, and Sentinel needs both"
    if settings.queue_connection == "redis" and not settings.uses_redis:
        yield (
            "QUEUE_CONNECTION is redis, which needs REDIS_HOST; set it or REDIS_SENTINELS, or set QUEUE_CONNECTION to "
            "none"
        )
    if settings.reuse_port and settings.db_connection == "duckdb":
        yield (
            "METRICS_REUSE_PORT is true, but the embedded store is for one process; set DB_CONNECTION to mysql, or "
            "leave METRICS_REUSE_PORT out"
        )
    host = settings.listen[0]
    if cert is None and not settings.behind_proxy and not is_loopback(host):
        yield (
            f"METRICS_LISTEN is {host}, which other hosts can reach, so keys would be sent without encryption; set "
            "METRICS_TLS_CERT and METRICS_TLS_KEY, or METRICS_BEHIND_PROXY=true if a proxy ends TLS, or listen on "
            "127.0.0.1"
        )


def _fit(cert: Path, key: Path) -> bool:
    try:
        # Give a wrong password: without one, OpenSSL would ask on the terminal and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="\0")  # noqa: S106
    except (ssl.SSLError, OSError, ValueError):
        return False
    return True
