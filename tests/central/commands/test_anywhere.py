"""Commands that ask a service anywhere: METRICS_URL and METRICS_KEY, --url and --key-file."""

from pathlib import Path

import pytest

from central.client import ClientError, remote_target
from tests.central.commands.command_help import ADMIN_KEY, Run, ok, refusal
from tests.central.fake_service import FakeService, serving

LISTED = ok(data=[])
KEY = "k" * 40
DEAD = "http://127.0.0.1:1"
NOWHERE = {"METRICS_LISTEN": "127.0.0.1:1", "METRICS_ADMIN_KEY": None}
TLS = Path(__file__).parents[2] / "data" / "tls"


def url_of(fake: FakeService) -> str:
    return f"http://127.0.0.1:{fake.port}"


def test_url_and_key_of_the_environment_are_used(run: Run, fake: FakeService) -> None:
    fake.answer("GET /api/admin/keys", 200, LISTED)
    result = run("keys", "list", METRICS_URL=url_of(fake) + "/", METRICS_KEY=KEY, **NOWHERE)
    assert (result.exit_code, fake.asked[0][1:3]) == (0, ("/api/admin/keys", KEY)), result.stderr


def test_options_win_over_the_environment(run: Run, fake: FakeService, tmp_path: Path) -> None:
    fake.answer("GET /behind/api/admin/keys", 200, LISTED)
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    file.chmod(0o600)
    result = run(
        *("keys", "list", "--url", f"{url_of(fake)}/behind", "--key-file", str(file)),
        **{**NOWHERE, "METRICS_URL": "http://127.0.0.1:1", "METRICS_KEY": "other"},
    )
    assert (result.exit_code, fake.asked[0][1:3]) == (0, ("/behind/api/admin/keys", KEY)), result.stderr


def test_a_broken_setting_of_a_service_does_not_matter_away_from_it(run: Run, fake: FakeService) -> None:
    fake.answer("GET /api/admin/keys", 200, LISTED)
    result = run("keys", "list", METRICS_URL=url_of(fake), METRICS_KEY=KEY, METRICS_LISTEN="nonsense")
    assert result.exit_code == 0, result.stderr


@pytest.mark.parametrize(
    ("environ", "used"),
    [({"METRICS_ADMIN_KEY": None}, KEY), ({}, ADMIN_KEY)],
    ids=["no admin key here", "an admin key here"],
)
def test_beside_the_service_its_admin_key_comes_first(
    run: Run, fake: FakeService, environ: dict[str, str | None], used: str
) -> None:
    fake.answer("GET /api/admin/keys", 200, LISTED)
    run("keys", "list", METRICS_KEY=KEY, **environ)
    assert fake.asked[0][2] == used


@pytest.mark.parametrize(
    ("environ", "options", "says"),
    [
        ({"METRICS_URL": DEAD}, [], "there is no key for METRICS_URL: set METRICS_KEY, or give --key-file"),
        ({"METRICS_URL": "ftp://x", "METRICS_KEY": KEY}, [], "METRICS_URL is 'ftp://x'; it must be such as https://"),
        ({"METRICS_KEY": KEY}, ["--url", DEAD], f"no service answers at {DEAD} (Connection refused): check --url"),
        ({"METRICS_URL": DEAD}, ["--key-file", "/none"], "the key file /none cannot be read: No such file"),
    ],
)
def test_what_is_missing_is_one_clear_line(run: Run, environ: dict[str, str], options: list[str], says: str) -> None:
    result = run("keys", "list", *options, **{**NOWHERE, **environ})
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (
            401,
            refusal("UNAUTHORIZED", "no"),
            "does not accept the key of METRICS_KEY: check that it is a key of http://",
        ),
        (403, refusal("FORBIDDEN", "the key needs the scope admin"), "the key needs the scope admin (FORBIDDEN)"),
        (200, b"<html>", "is not the service: check METRICS_URL"),
    ],
)
def test_a_refusal_names_what_to_check(run: Run, fake: FakeService, status: int, body: bytes, says: str) -> None:
    fake.answer("GET /api/admin/keys", status, body)
    result = run("keys", "list", METRICS_URL=url_of(fake), METRICS_KEY=KEY, **NOWHERE)
    assert result.exit_code == 1
    assert says in result.stderr


def test_an_unknown_certificate_is_refused_and_named(run: Run) -> None:
    with serving(tls=(TLS / "cert.pem", TLS / "key.pem")) as fake:
        url = f"https://localhost:{fake.port}"
        result = run("keys", "list", METRICS_URL=url, METRICS_KEY=KEY, **NOWHERE)
        assert f"{url} cannot be trusted" in result.stderr
        assert not fake.asked


@pytest.mark.parametrize(
    "url", ["", "x", "http://", "http://h:99999", "http://h:x", "http://u:p@h", "http://h/?a", "https://h/#a"]
)
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ClientError, match=r"--url is .*; it must be such as https://"):
        remote_target(url, "--url", KEY, "")


@pytest.mark.parametrize("key", ["a\nb", "k\u00e4y"])
def test_a_key_that_no_header_can_hold_is_named(run: Run, key: str) -> None:
    result = run("names", METRICS_URL="http://127.0.0.1:9", METRICS_KEY=key)
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: METRICS_KEY holds no API key: a key is one line of ASCII characters\n",
    )
