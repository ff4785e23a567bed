"""central/settings.py and its rules: environment in, settings or every fault out."""

from pathlib import Path

import pytest

from central.settings import NAMING, Settings, load_settings
from runtime.settings import SettingsError, settings_of

TLS = Path(__file__).parents[1] / "data" / "tls"
KEY = "k" * 32


def faults(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    return str(caught.value).splitlines()


def test_without_any_variable_the_defaults_hold() -> None:
    settings = load_settings({"PATH": "/bin", "DB_SOMETHING": "of another program"})
    assert (settings.listen, settings.data_dir) == (("127.0.0.1", 8080), Path("data"))
    assert (settings.retention_days, settings.retention_grace_days, settings.rate_limit_default) == (90, 7, 1000)
    assert (settings.clock_skew_seconds, settings.max_names, settings.max_names_per_key) == (5, 1_000_000, 100_000)
    assert (settings.admin_key, settings.tls_cert, settings.behind_proxy, settings.cors_origins) == (
        None,
        None,
        False,
        (),
    )


def test_a_shell_that_is_set_up_for_a_client_can_start_the_service() -> None:
    assert load_settings({"METRICS_URL": "http://127.0.0.1:8080", "METRICS_KEY": "gf_x"}) == load_settings({})


def test_an_empty_variable_counts_as_unset() -> None:
    names = [name for setting in settings_of(Settings, NAMING).values() for name in setting.variables]
    assert load_settings(dict.fromkeys(names, "")) == load_settings({})


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("METRICS_LISTEN", "localhost:0", "listen", ("localhost", 0)),
        ("METRICS_LISTEN", "[::1]:9000", "listen", ("::1", 9000)),
        ("METRICS_LISTEN", "127.0.0.2:65535", "listen", ("127.0.0.2", 65535)),
        ("METRICS_RETENTION_DAYS", "8", "retention_days", 8),
        ("METRICS_RATE_LIMIT_DEFAULT", "1", "rate_limit_default", 1),
        ("METRICS_BEHIND_PROXY", "YES", "behind_proxy", True),
        ("METRICS_BEHIND_PROXY", "1", "behind_proxy", True),
        ("METRICS_BEHIND_PROXY", "no", "behind_proxy", False),
        ("METRICS_CORS_ORIGINS", "https://a.example", "cors_origins", ("https://a.example",)),
        (
            "METRICS_CORS_ORIGINS",
            "https://a.example, http://localhost:3000,",
            "cors_origins",
            ("https://a.example", "http://localhost:3000"),
        ),
        ("METRICS_ADMIN_KEY", "!" * 72, "admin_key", "!" * 72),
        ("METRICS_DATA_DIR", "/nowhere/yet", "data_dir", Path("/nowhere/yet")),
        ("METRICS_CLOCK_SKEW_SECONDS", "0", "clock_skew_seconds", 0),
        ("METRICS_SPILL_MAX_BYTES", "1048576", "spill_max_bytes", 1_048_576),
        ("DB_CONNECTION", "duckdb", "db_connection", "duckdb"),
        ("DB_CONNECTION", "mysql", "db_connection", "mysql"),
        ("DB_HOST", "db.internal", "db_host", "db.internal"),
        ("DB_HOSTS", "db1", "db_hosts", (("db1", None),)),
        ("DB_HOSTS", "db1:3307, 10.0.0.5", "db_hosts", (("db1", 3307), ("10.0.0.5", None))),
        ("DB_HOSTS", "[::1]:1,::2,[::3]", "db_hosts", (("::1", 1), ("::2", None), ("::3", None))),
        ("QUEUE_CONNECTION", "none", "queue_connection", "none"),
        ("REDIS_HOST", "redis.internal", "redis_host", "redis.internal"),
    ],
)
def test_a_good_value_is_taken(name: str, text: str, field: str, value: object) -> None:
    assert getattr(load_settings({name: text}), field) == value


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("METRICS_LISTEN", "8080", "must be host:port"),
        ("METRICS_LISTEN", "::1:8080", "IPv6 address in brackets"),
        ("METRICS_LISTEN", "[::g]:80", "must be host:port"),
        ("METRICS_LISTEN", "127.0.0.1:65536", "must be host:port"),
        ("METRICS_LISTEN", "127.0.0.1:80 ", "must be host:port"),
        ("METRICS_LISTEN", "127.0.0.1:٨٠", "must be host:port"),
        ("METRICS_RETENTION_DAYS", "7", "from 8 to 36500 (points up to 7 days old are accepted"),
        ("METRICS_RETENTION_DAYS", "90.0", "must be a whole number"),
        ("METRICS_RETENTION_DAYS", "9" * 5000, "must be a whole number"),
        ("METRICS_RATE_LIMIT_DEFAULT", "0", "from 1 to"),
        ("METRICS_RATE_LIMIT_DEFAULT", "-1", "from 1 to"),
        ("METRICS_CLOCK_SKEW_SECONDS", "3601", "from 0 to 3600"),
        ("METRICS_MAX_NAMES", "many", "must be a whole number"),
        ("METRICS_BEHIND_PROXY", "maybe", "must be one of true, 1, yes, false, 0, no"),
        ("METRICS_CORS_ORIGINS", "*", "each origin must be exact"),
        ("METRICS_CORS_ORIGINS", "https://a.example/", "no path"),
        ("METRICS_CORS_ORIGINS", "https://A.example", "lower case"),
        ("METRICS_CORS_ORIGINS", "null", "each origin must be exact"),
        ("METRICS_DATA_DIR", __file__, "which is a file; it must be a folder"),
        ("METRICS_DATA_DIR", "x" * 5000, "cannot be used"),
        ("METRICS_DATA_DIR", "~nobody-of-this-name/data", "cannot be used"),
        ("METRICS_TLS_CERT", "/nowhere/cert.pem", "where there is no file"),
        ("METRICS_SPILL_MAX_BYTES", "1", "from 1048576"),
        ("DB_CONNECTION", "sqlite", "must be duckdb, or mysql"),
        ("DB_HOSTS", "db1,", "separated by commas"),
        ("DB_HOSTS", "db1:port", "alone or with :port"),
        ("DB_HOSTS", "db1:0", "alone or with :port from 1 to 65535"),
        ("DB_HOSTS", "db1,db1", "names one host twice"),
        ("DB_TLS_CA", "/nowhere/ca.pem", "where there is no file"),
        ("DB_TLS_CA", __file__, "holds no certificate that can be read"),
        ("REDIS_TLS_CA", __file__, "holds no certificate that can be read"),
        ("DB_PORT", "0", "from 1 to 65535"),
        ("REDIS_PORT", "six", "from 1 to 65535"),
        ("QUEUE_CONNECTION", "redis", "needs REDIS_HOST; set it or REDIS_SENTINELS, or set QUEUE_CONNECTION to none"),
        ("METRICS_SPILL_REPLICAS", "-1", "from 0 to 100"),
        ("QUEUE_CONNECTION", "sync", "must be redis or none"),
        ("METRICS_DB_HOST", "db.internal", "is not a setting; docs/settings.md lists them all"),
        ("METRICS_listen", "127.0.0.1:1", "is not a setting; did you mean METRICS_LISTEN?"),
        ("METRICS_FOO", "1", "is not a setting; docs/settings.md lists them all"),
        ("METRICS_RETENTION_DAY", "90", "is not a setting; did you mean METRICS_RETENTION_DAYS?"),
    ],
)
def test_a_bad_value_stops_the_start_with_name_fault_and_what_is_right(name: str, text: str, says: str) -> None:
    (fault,) = faults(**{name: text})
    assert fault.startswith(f"{name} ")
    assert says in fault
    assert len(fault) < 400


@pytest.mark.parametrize("prefix", ["DB_TLS_", "REDIS_TLS_"])
@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"CERT": "cert.pem"}, "{}CA is missing; {}CERT is set"),
        ({"KEY": "key.pem"}, "{}CA is missing; {}KEY is set"),
        ({"CA": "cert.pem", "CERT": "cert.pem"}, "{}KEY is missing; {}CERT is set"),
        ({"CA": "cert.pem", "KEY": "key.pem"}, "{}CERT is missing; {}KEY is set"),
        ({"CA": "key.pem"}, "{}CA holds no certificate"),
        ({"CA": "cert.pem", "CERT": "cert.pem", "KEY": "other_key.pem"}, "{}KEY does not fit {}CERT"),
        ({"CA": "cert.pem", "CERT": "cert.pem", "KEY": "locked_key.pem"}, "{}KEY does not fit {}CERT"),
    ],
)
def test_files_for_tls_to_other_servers_must_fit(prefix: str, files: dict[str, str], says: str) -> None:
    (fault,) = faults(**{prefix + name: str(TLS / file) for name, file in files.items()})
    assert fault.startswith(says.replace("{}", prefix))


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"DB_HOST": "db1", "DB_HOSTS": "db1,db2"}, "DB_HOST and DB_HOSTS are both set"),
        (
            {"REDIS_HOST": "r", "REDIS_SENTINELS": "s", "REDIS_SENTINEL_MASTER": "m"},
            "REDIS_HOST and REDIS_SENTINELS are",
        ),
        ({"REDIS_SENTINELS": "s"}, "REDIS_SENTINEL_MASTER is missing; REDIS_SENTINELS is set"),
        ({"REDIS_SENTINEL_MASTER": "m"}, "REDIS_SENTINELS is missing; REDIS_SENTINEL_MASTER is set"),
        ({"REDIS_USERNAME": "fiesta"}, "REDIS_PASSWORD is missing; REDIS_USERNAME is set"),
    ],
)
def test_settings_that_need_or_exclude_each_other(environ: dict[str, str], says: str) -> None:
    (fault,) = faults(**environ)
    assert fault.startswith(says)


@pytest.mark.parametrize("key", ["short", "k" * 31, "k" * 73, f"{KEY} ", f"{KEY}\n", "é" * 40])
def test_a_bad_admin_key_is_never_repeated(key: str) -> None:
    (fault,) = faults(METRICS_ADMIN_KEY=key)
    assert "32 to 72 printable ASCII characters without spaces" in fault
    assert key not in fault


def test_all_faults_are_told_at_once() -> None:
    listed = faults(METRICS_LISTEN="x", METRICS_MAX_NAMES="0", METRICS_MAXNAMES="5", DB_CONNECTION="sqlite")
    assert [fault.split()[0] for fault in listed] == [
        "DB_CONNECTION",
        "METRICS_LISTEN",
        "METRICS_MAXNAMES",
        "METRICS_MAX_NAMES",
    ]


def test_secrets_do_not_show() -> None:
    shown = repr(load_settings({"METRICS_ADMIN_KEY": KEY, "DB_PASSWORD": "hunter2", "REDIS_PASSWORD": "hunter3"}))
    assert KEY not in shown
    assert "hunter" not in shown


@pytest.mark.parametrize("listen", ["0.0.0.0:80", "[::]:80", "10.0.0.1:80", "metrics.internal:80"])
def test_an_address_others_reach_needs_tls_or_a_proxy(listen: str) -> None:
    (fault,) = faults(METRICS_LISTEN=listen)
    assert fault.startswith("METRICS_LISTEN ")
    assert "METRICS_TLS_CERT" in fault
    assert "METRICS_BEHIND_PROXY=true" in fault
    load_settings({"METRICS_LISTEN": listen, "METRICS_BEHIND_PROXY": "true"})
    load_settings({"METRICS_LISTEN": listen, **tls("cert.pem", "key.pem")})


def tls(cert: str, key: str) -> dict[str, str]:
    return {"METRICS_TLS_CERT": str(TLS / cert), "METRICS_TLS_KEY": str(TLS / key)}


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"METRICS_TLS_CERT": str(TLS / "cert.pem")}, "METRICS_TLS_KEY is missing; METRICS_TLS_CERT is set"),
        ({"METRICS_TLS_KEY": str(TLS / "key.pem")}, "METRICS_TLS_CERT is missing; METRICS_TLS_KEY is set"),
        (tls("cert.pem", "other_key.pem"), "METRICS_TLS_KEY does not fit METRICS_TLS_CERT"),
        (tls("cert.pem", "cert.pem"), "METRICS_TLS_KEY does not fit METRICS_TLS_CERT"),
        (tls("cert.pem", "locked_key.pem"), "without a passphrase"),
    ],
)
def test_certificate_and_key_belong_together(environ: dict[str, str], says: str) -> None:
    (fault,) = faults(**environ)
    assert says in fault


def test_a_file_this_user_may_not_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # as root every file can be read
    assert "may not read" in faults(**tls("cert.pem", "key.pem"))[0]


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"METRICS_LISTEN": "[::1]:81"}, "http://[::1]:81"),
        ({"METRICS_LISTEN": "0.0.0.0:81", **tls("cert.pem", "key.pem")}, "https://127.0.0.1:81"),
        ({"METRICS_LISTEN": "[::]:81", "METRICS_BEHIND_PROXY": "1"}, "http://[::1]:81"),
    ],
)
def test_the_url_is_for_programs_on_this_host(environ: dict[str, str], url: str) -> None:
    assert load_settings(environ).url == url


# --- secrets in files

SECRETS = {"DB_PASSWORD": "db_password", "REDIS_PASSWORD": "redis_password", "METRICS_ADMIN_KEY": "admin_key"}


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("held", "value"), [(KEY, KEY), (f"{KEY}\n", KEY), (f"{KEY}\r\n", KEY), ("", None), ("\n", None)]
)
def test_a_secret_may_be_in_a_file(tmp_path: Path, name: str, held: str, value: str | None) -> None:
    file = tmp_path / "secret"
    file.write_bytes(held.encode())
    settings = load_settings({f"{name}_FILE": str(file), name: ""})
    assert getattr(settings, SECRETS[name]) == value
    assert KEY not in repr(settings)


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    ("held", "given", "says"),
    [
        (None, "", "which cannot be read: No such file or directory"),
        (b"one\ntwo", "", "which holds more than a line"),
        (b"\xff\xfe", "", "which holds no text"),
        (KEY.encode(), KEY, "are both set; leave one of them out"),
    ],
)
def test_a_secrets_file_that_cannot_be_used_is_told_by_name(
    tmp_path: Path, name: str, held: bytes | None, given: str, says: str
) -> None:
    file = tmp_path / "secret"
    if held is not None:
        file.write_bytes(held)
    (fault,) = faults(**{f"{name}_FILE": str(file), name: given})
    assert f"{name}_FILE" in fault
    assert says in fault
    assert KEY not in fault


def test_an_admin_key_in_a_file_meets_the_rule_of_one_in_a_variable(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("short\n")
    (fault,) = faults(METRICS_ADMIN_KEY_FILE=str(tmp_path / "key"))
    assert fault.startswith("METRICS_ADMIN_KEY_FILE has 5 characters")


def test_only_what_is_secret_has_a_file() -> None:
    assert faults(METRICS_LISTEN_FILE="/x") == ["METRICS_LISTEN_FILE is not a setting; did you mean METRICS_LISTEN?"]


# --- one port for several processes


def test_a_shared_port_needs_a_shared_store() -> None:
    assert load_settings({"METRICS_REUSE_PORT": "true", "DB_CONNECTION": "mysql"}).reuse_port
    (fault,) = faults(METRICS_REUSE_PORT="true")
    assert fault.startswith("METRICS_REUSE_PORT is true, but the embedded store is for one process")
