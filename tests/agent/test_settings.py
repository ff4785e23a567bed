"""Settings from environment and file; every fault is named, all at once."""

from pathlib import Path
from typing import Any

import pytest

from agent.settings import Settings, load_settings
from runtime.settings import SettingsError
from tests.agent.fakes import KEY


def test_defaults() -> None:
    settings = load_settings({})
    assert settings.central_url == "http://127.0.0.1:8080"
    assert settings.udp == ("127.0.0.1", 8125)
    assert settings.http == ("127.0.0.1", 9126)
    assert settings.flush_interval == 10
    assert (settings.tags, settings.gauges, settings.prefix) == ("keep", "delta", "")
    assert [settings.api_key, settings.api_key_file, settings.ca_file] == [None] * 3
    assert not settings.allow_plaintext


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("CENTRAL_URL", "https://metrics.internal/", "https://metrics.internal"),
        ("CENTRAL_URL", "https://metrics.internal:8443/base", "https://metrics.internal:8443/base"),
        ("CENTRAL_URL", "http://localhost:8080", "http://localhost:8080"),
        ("CENTRAL_URL", "http://127.9.9.9", "http://127.9.9.9"),
        ("CENTRAL_URL", "http://[::1]:8080", "http://[::1]:8080"),
        ("UDP", "0.0.0.0:0", ("0.0.0.0", 0)),
        ("UDP", "web_1.internal.:8125", ("web_1.internal.", 8125)),
        ("HTTP", "[::1]:9126", ("::1", 9126)),
        ("FLUSH_INTERVAL", "60", 60),
        ("SPOOL_DIR", "/var/spool/fiesta", Path("/var/spool/fiesta")),
        ("SPOOL_MAX_BYTES", "1048576", 1 << 20),
        ("SPOOL_MAX_FILES", "10", 10),
        ("MAX_NAMES", "1", 1),
        ("PREFIX", "web1", "web1."),
        ("PREFIX", "web1.", "web1."),
        ("PREFIX", "web1_", "web1_"),
        ("TAGS", "append", "append"),
        ("GAUGES", "absolute", "absolute"),
        ("ALLOW_PLAINTEXT", "Yes", True),
        ("FLUSH_INTERVAL", "", 10),
    ],
)
def test_a_variable(name: str, text: str, value: Any) -> None:
    settings = load_settings({f"FIESTA_AGENT_{name}": text, "PATH": "/bin"})
    assert getattr(settings, name.lower()) == value


@pytest.mark.parametrize(
    ("name", "text", "right"),
    [
        ("CENTRAL_URL", "metrics.internal", "https://metrics.internal"),
        ("CENTRAL_URL", "ftp://metrics.internal", "https://metrics.internal"),
        ("CENTRAL_URL", "http://", "https://metrics.internal"),
        ("CENTRAL_URL", "https://a:99999", "https://metrics.internal"),
        ("CENTRAL_URL", "https://a b", "https://metrics.internal"),
        ("CENTRAL_URL", "https://[::1", "https://metrics.internal"),
        ("CENTRAL_URL", "https://user:pw@a", "API_KEY_FILE"),
        ("CENTRAL_URL", "https://a?b=c", "query"),
        ("UDP", "8125", "127.0.0.1:8125"),
        ("UDP", "127.0.0.1:65536", "127.0.0.1:8125"),
        ("UDP", "a..b:8125", "127.0.0.1:8125"),
        ("TCP", f"{'a' * 64}.internal:8125", "127.0.0.1:8125"),
        ("CENTRAL_URL", "https://a..b", "https://metrics.internal"),
        ("CENTRAL_URL", f"https://{'a' * 64}", "https://metrics.internal"),
        ("HTTP", "[zz]:1", "[::1]:9126"),
        ("HTTP", "[ab]:1", "[::1]:9126"),
        ("HTTP", "[::::]:1", "[::1]:9126"),
        ("FLUSH_INTERVAL", "7", "10, 12, 15"),
        ("FLUSH_INTERVAL", "0", "divides 60"),
        ("FLUSH_INTERVAL", "ten", "divides 60"),
        ("FLUSH_INTERVAL", "-10", "divides 60"),
        ("SPOOL_MAX_BYTES", "5", "from 1048576"),
        ("SPOOL_MAX_FILES", "1e9", "whole number"),
        ("SPOOL_DIR", "a\0b", "path"),
        ("MAX_NAMES", "0", "from 1"),
        ("PREFIX", "web 1", "A-Z"),
        ("PREFIX", "x" * 128, "127"),
        ("TAGS", "all", "keep or drop or append"),
        ("HOST_TAGS", "env", "env:prod,host:web-1"),
        ("HOST_TAGS", "env:a,env:b", "different keys"),
        ("HOST_TAGS", "9:a", "a key must be"),
        ("HOST_TAGS", "env:a=b", "a value must be"),
        ("GAUGES", "Delta", "delta or absolute"),
        ("ALLOW_PLAINTEXT", "maybe", "true"),
        ("UNIX", "unix:///run/fiesta.sock", "a path of at most 107 bytes"),
        ("UNIX", "/" + "x" * 107, "a path of at most 107 bytes"),
        ("TCP_IDLE", "0", "from 1 to 86400"),
        ("TCP", "8125", "host:port"),
        ("FLUSH_INTERVALL", "10", "FIESTA_AGENT_FLUSH_INTERVAL"),
        ("SPOOL_DIR", "~nobody-of-that-name/x", "cannot be used"),
    ],
)
def test_a_bad_variable_is_named_with_what_would_be_right(name: str, text: str, right: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({f"FIESTA_AGENT_{name}": text})
    assert str(caught.value).startswith(f"FIESTA_AGENT_{name} ")
    assert right in str(caught.value)
    assert "\n" not in str(caught.value)


def test_all_faults_are_reported_at_once() -> None:
    environ = {"FIESTA_AGENT_UDP": "x", "FIESTA_AGENT_HTTP": "y", "FIESTA_AGENT_NOPE": "z"}
    with pytest.raises(SettingsError) as caught:
        load_settings(environ)
    assert [line.split(" ")[0] for line in str(caught.value).split("\n")] == sorted(environ)


@pytest.mark.parametrize(
    ("environ", "right"),
    [
        ({"CENTRAL_URL": "http://metrics.internal"}, "ALLOW_PLAINTEXT"),
        ({"CENTRAL_URL": "http://localhost.evil.example"}, "https://"),
        ({"CENTRAL_URL": "http://10.0.0.1"}, "in the clear"),
        ({"API_KEY": KEY, "API_KEY_FILE": "key"}, "leave one of them out"),
        ({"CA_FILE": "ca.pem"}, "https://"),
    ],
)
def test_settings_that_are_wrong_together(environ: dict[str, str], right: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({f"FIESTA_AGENT_{name}": text for name, text in environ.items()})
    assert right in str(caught.value)
    assert KEY not in str(caught.value)


def test_plaintext_can_be_allowed() -> None:
    environ = {"FIESTA_AGENT_CENTRAL_URL": "http://metrics.internal", "FIESTA_AGENT_ALLOW_PLAINTEXT": "true"}
    assert load_settings(environ).central_url == "http://metrics.internal"


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "agent.toml").write_text(text)
    return tmp_path / "agent.toml"


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    config = write(tmp_path, 'udp = "127.0.0.1:1"\nhttp = "127.0.0.1:2"\nmax_names = 5\nallow_plaintext = true\n')
    settings = load_settings({"FIESTA_AGENT_UDP": "127.0.0.1:3"}, config)
    assert (settings.udp[1], settings.http[1]) == (3, 2)
    assert settings.max_names == 5
    assert settings.allow_plaintext


def test_a_file_may_begin_with_the_mark_of_some_editors(tmp_path: Path) -> None:
    assert load_settings({}, write(tmp_path, "\ufeffmax_names = 5\r\n")).max_names == 5


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("max_names = 0", "max_names (in "),
        ("max_names = true", "max_names (in "),
        ("flush_interval = -10", "divides 60"),
        ("udp = 8125", "udp (in "),
        ("spool_dir = 5", "spool_dir (in "),
        ("api_key = 5", "api_key (in "),
        ("central_url = 5", "central_url (in "),
        ("flush_intervall = 10", "did you mean flush_interval?"),
        ("UDP = '127.0.0.1:1'", "did you mean udp?"),
        ("spool_dir = ''", "spool_dir (in "),
        (f"udp = {'[' * 3_000}", "too deep"),
        ("zzz = 1", "there are allow_plaintext"),
        ("[table]\nudp = '127.0.0.1:1'", "not a setting"),
        ("udp = ", "is not TOML"),
    ],
)
def test_a_bad_file_is_reported(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, write(tmp_path, text))
    assert fault in str(caught.value)
    assert "agent.toml" in str(caught.value)


def test_an_unknown_variable_is_reported_as_it_is_written() -> None:
    with pytest.raises(SettingsError, match=r"^FIESTA_AGENT_ZZZ is not a setting; docs/settings\.md lists them all"):
        load_settings({"FIESTA_AGENT_ZZZ": "1"})
    with pytest.raises(SettingsError, match=r"did you mean FIESTA_AGENT_UDP\?$"):
        load_settings({"FIESTA_AGENT_UDPP": "1"})


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="No such file"):
        load_settings({}, tmp_path / "none.toml")


def test_the_key_never_shows() -> None:
    settings = load_settings({"FIESTA_AGENT_API_KEY": KEY})
    assert KEY not in repr(settings)
    assert isinstance(settings, Settings)
