"""Variables that ask for a proxy end the start with a sentence, unless they do not concern the service."""

from contextlib import nullcontext

import pytest

from agent.forward.proxy import refuse_proxy
from runtime.start_error import StartError

PROXY = "http://proxy.internal:3128"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://metrics.internal", "HTTPS_PROXY"),
        ("https://metrics.internal", "https_proxy"),
        ("https://metrics.internal:8443/base", "ALL_PROXY"),
        ("http://metrics.internal:8080", "HTTP_PROXY"),
        ("http://metrics.internal:8080", "http_proxy"),
        ("http://10.0.0.5", "all_proxy"),
    ],
)
def test_a_proxy_is_refused_by_the_name_of_its_variable(url: str, name: str) -> None:
    with pytest.raises(StartError, match=rf"^{name} asks for a proxy .* NO_PROXY"):
        refuse_proxy(url, {name: PROXY})


@pytest.mark.parametrize(
    ("url", "environ"),
    [
        ("https://metrics.internal", {}),
        ("https://metrics.internal", {"HTTPS_PROXY": ""}),
        ("https://metrics.internal", {"HTTP_PROXY": PROXY}),
        ("http://metrics.internal", {"HTTPS_PROXY": PROXY}),
        ("http://127.0.0.1:8080", {"HTTP_PROXY": PROXY}),
        ("http://localhost:8080", {"ALL_PROXY": PROXY}),
        ("https://[::1]", {"ALL_PROXY": PROXY}),
        ("https://metrics.internal", {"HTTPS_PROXY": PROXY, "NO_PROXY": "metrics.internal"}),
        ("https://metrics.internal", {"HTTPS_PROXY": PROXY, "no_proxy": "a.example, .Internal:443"}),
        ("https://metrics.internal:8443", {"ALL_PROXY": PROXY, "NO_PROXY": "internal"}),
        ("https://metrics.internal", {"HTTPS_PROXY": PROXY, "NO_PROXY": "*"}),
    ],
)
def test_a_proxy_that_is_not_for_the_service_is_allowed(url: str, environ: dict[str, str]) -> None:
    refuse_proxy(url, environ)


COVERED = {
    "https://metrics.internal": {
        "*": True,
        "a.example,*": True,
        "metrics.internal": True,
        "METRICS.internal.": True,
        "internal": True,
        ".internal": True,
        "*.internal": True,
        ".metrics.internal": True,
        "a.example metrics.internal": True,
        "metrics.internal:443": True,
        "metrics.internal:8443": False,
        "ternal": False,
        "s.internal": False,
        ".": False,
        "*.": False,
        ":443": False,
        "10.0.0.0/8": False,
        "metrics.internal/8": False,
    },
    "http://10.1.2.3:8080": {
        "10.1.2.3": True,
        "10.1.2.3:8080": True,
        "10.1.2.3:80": False,
        "10.0.0.0/8": True,
        "10.1.2.200/24": True,
        "10.1.3.0/24": False,
        "0.0.0.0/0": True,
        "::/0": False,
        "2.3": False,
        "10.0.0.0/99": False,
    },
    "https://[fd00::5]": {
        "fd00::5": True,
        "[fd00::5]": True,
        "[fd00::5]:443": True,
        "[fd00::5]:8443": False,
        "FD00:0::0005": True,
        "fd00::/8": True,
        "[fd00::]/8": False,
        "fe80::/10": False,
        "fd00::6": False,
    },
}


@pytest.mark.parametrize(("url", "entry"), [(url, entry) for url, entries in COVERED.items() for entry in entries])
def test_no_proxy_is_read_as_curl_and_go_read_it(url: str, entry: str) -> None:
    environ = {"ALL_PROXY": PROXY, "NO_PROXY": entry}
    with nullcontext() if COVERED[url][entry] else pytest.raises(StartError):
        refuse_proxy(url, environ)


def test_the_proxys_password_is_not_shown() -> None:
    with pytest.raises(StartError) as raised:
        refuse_proxy("https://metrics.internal", {"HTTPS_PROXY": "http://me:secret@proxy"})
    assert "secret" not in str(raised.value)
