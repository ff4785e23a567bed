"""Settings of the central service: environment variables in, one frozen value out, every fault at once.

A new setting is a field below, a row in VARIABLES and a heading in docs/settings.md (a test looks).
"""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final, NamedTuple

from central import setting_rules as rules
from protocol.limits import CLOCK_SKEW_SECONDS, ID_DAYS
from runtime.addresses import from_this_host, is_loopback, join_address


class SettingsError(Exception):
    """The settings cannot be used. The message has one fault a line: the variable, the fault, what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator decided. Secrets never show in ``repr``."""

    db_connection: str
    db_host: str
    db_port: int
    db_database: str
    db_username: str
    db_password: str | None = field(repr=False)
    redis_host: str | None
    redis_port: int
    redis_password: str | None = field(repr=False)
    queue_connection: str
    retention_days: int
    retention_grace_days: int
    rate_limit_default: int
    listen: tuple[str, int]
    """Host (a name or an address, IPv6 without brackets) and port; port 0 is any free one."""
    data_dir: Path
    admin_key: str | None = field(repr=False)
    tls_cert: Path | None
    tls_key: Path | None
    behind_proxy: bool
    reuse_port: bool
    cors_origins: tuple[str, ...]
    clock_skew_seconds: int
    max_names: int
    max_names_per_key: int
    spill_max_bytes: int

    @property
    def secrets(self) -> tuple[str | None, ...]:
        """What no line of a log may hold."""
        return self.db_password, self.redis_password, self.admin_key

    @property
    def url(self) -> str:
        """Where a program on this host reaches the service."""
        return url_of(*self.listen, tls=self.tls_cert is not None)


class Variable(NamedTuple):
    """One environment variable: the field it fills, its default as text, and the rule its text must meet.

    ``parse`` raises ValueError with the fault and what would be right, to be read after the variable's name.
    A secret may also be in a file, which the variable of the same name with ``_FILE`` behind it names.
    """

    name: str
    field: str
    default: str | None
    parse: Callable[[str], Any]
    secret: bool = False


VARIABLES: Final = (
    Variable("DB_CONNECTION", "db_connection", "duckdb", rules.store),
    Variable("DB_HOST", "db_host", "127.0.0.1", rules.host),
    Variable("DB_PORT", "db_port", "3306", rules.whole(1, 65_535)),
    Variable("DB_DATABASE", "db_database", "metrics", rules.text),
    Variable("DB_USERNAME", "db_username", "metrics", rules.text),
    Variable("DB_PASSWORD", "db_password", None, rules.text, secret=True),
    Variable("REDIS_HOST", "redis_host", None, rules.host),
    Variable("REDIS_PORT", "redis_port", "6379", rules.whole(1, 65_535)),
    Variable("REDIS_PASSWORD", "redis_password", None, rules.text, secret=True),
    Variable("QUEUE_CONNECTION", "queue_connection", "none", rules.queue),
    Variable(
        "METRICS_RETENTION_DAYS",
        "retention_days",
        "90",
        rules.whole(ID_DAYS, 36_500, why="points up to 7 days old are accepted, and ids are kept 8 days"),
    ),
    Variable("METRICS_RETENTION_GRACE_DAYS", "retention_grace_days", "7", rules.whole(0, 3_650)),
    Variable("METRICS_RATE_LIMIT_DEFAULT", "rate_limit_default", "1000", rules.whole(1, 1_000_000_000)),
    Variable("METRICS_LISTEN", "listen", "127.0.0.1:8080", rules.listen),
    Variable("METRICS_DATA_DIR", "data_dir", "./data", rules.folder),
    Variable("METRICS_ADMIN_KEY", "admin_key", None, rules.admin_key, secret=True),
    Variable("METRICS_TLS_CERT", "tls_cert", None, rules.readable_file),
    Variable("METRICS_TLS_KEY", "tls_key", None, rules.readable_file),
    Variable("METRICS_BEHIND_PROXY", "behind_proxy", "false", rules.yes_or_no),
    Variable("METRICS_REUSE_PORT", "reuse_port", "false", rules.yes_or_no),
    Variable("METRICS_CORS_ORIGINS", "cors_origins", "", rules.origins),
    Variable("METRICS_CLOCK_SKEW_SECONDS", "clock_skew_seconds", str(CLOCK_SKEW_SECONDS), rules.whole(0, 3_600)),
    Variable("METRICS_MAX_NAMES", "max_names", "1000000", rules.whole(1, 2_000_000_000)),
    Variable("METRICS_MAX_NAMES_PER_KEY", "max_names_per_key", "100000", rules.whole(1, 2_000_000_000)),
    Variable("METRICS_SPILL_MAX_BYTES", "spill_max_bytes", "1073741824", rules.whole(1 << 20, 1 << 50)),
)

OF_CLIENTS: Final = frozenset({"METRICS_URL", "METRICS_KEY"})
"""What the examples for clients export. A shell that has them may start our programs all the same."""


def names() -> list[str]:
    """Every variable there is, those that name a secret's file too."""
    return [name for variable in VARIABLES for name in (variable.name, *([f"{variable.name}_FILE"] * variable.secret))]


def load_settings(environ: Mapping[str, str]) -> Settings:
    """The settings in ``environ``; an empty variable counts as unset. Raises SettingsError with all faults.

    Reads secrets that are in files, and the certificate files to see that they can be used; changes nothing.
    """
    values: dict[str, Any] = {}
    faults = _unknown(environ)
    for variable in VARIABLES:
        name = variable.name
        try:
            text = environ.get(name) or variable.default
            if variable.secret and (file := environ.get(f"{name}_FILE")):
                if text:
                    raise ValueError(f"and {name}_FILE are both set; leave one of them out")
                name = f"{name}_FILE"
                text = rules.secret_in(file)
            values[variable.field] = None if text is None else variable.parse(text)
        except ValueError as error:
            faults.append(f"{name} {error}")
    if not faults:
        faults = _together(values)
    if faults:
        raise SettingsError("\n".join(faults))
    return Settings(**values)


def url_of(host: str, port: int, *, tls: bool) -> str:
    """The base URL for a client on this host; an address that means all of them becomes loopback."""
    return f"{'https' if tls else 'http'}://{join_address(from_this_host(host), port)}"


def _unknown(environ: Mapping[str, str]) -> list[str]:
    known = [name.removeprefix("METRICS_") for name in names() if name.startswith("METRICS_")]
    faults = []
    for name in sorted(environ):
        if name.startswith("METRICS_") and name not in OF_CLIENTS and name.removeprefix("METRICS_") not in known:
            # Without the prefix that they all share, or anything would look near.
            near = [f"METRICS_{rest}" for rest in get_close_matches(name.removeprefix("METRICS_"), known, n=1)]
            advice = f"did you mean {near[0]}?" if near else "docs/settings.md lists them all; unset it"
            faults.append(f"{name} is not a setting; {advice}")
    return faults


def _together(values: Mapping[str, Any]) -> list[str]:
    """Faults of settings that are right alone and wrong together."""
    faults = []
    cert, key = values["tls_cert"], values["tls_key"]
    if (cert is None) != (key is None):
        given, missing = ("METRICS_TLS_CERT", "METRICS_TLS_KEY")[:: 1 if cert else -1]
        faults.append(f"{missing} is missing; {given} is set, and TLS needs both")
    elif cert is not None and not _fit(cert, key):
        faults.append(
            "METRICS_TLS_KEY does not fit METRICS_TLS_CERT; they must be PEM files, a certificate (chain) and its "
            "private key without a passphrase"
        )
    if values["queue_connection"] == "redis" and values["redis_host"] is None:
        faults.append("QUEUE_CONNECTION is redis, which needs REDIS_HOST; set it, or set QUEUE_CONNECTION to none")
    if values["reuse_port"] and values["db_connection"] == "duckdb":
        faults.append(
            "METRICS_REUSE_PORT is true, but the embedded store is for one process; set DB_CONNECTION to mysql, or "
            "leave METRICS_REUSE_PORT out"
        )
    host = values["listen"][0]
    if cert is None and not values["behind_proxy"] and not is_loopback(host):
        faults.append(
            f"METRICS_LISTEN is {host}, which other hosts can reach, and keys would travel in the clear; set "
            "METRICS_TLS_CERT and METRICS_TLS_KEY, or METRICS_BEHIND_PROXY=true where a proxy ends TLS, or listen on "
            "127.0.0.1"
        )
    return faults


def _fit(cert: Path, key: Path) -> bool:
    try:
        # A password that is wrong for sure: without one OpenSSL would ask the terminal and wait.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="\0")  # noqa: S106
    except (ssl.SSLError, OSError, ValueError):
        return False
    return True
