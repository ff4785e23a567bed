"""Variables that ask for a proxy end the start with a sentence, unless they do not concern the service."""

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


def test_the_proxys_password_is_not_shown() -> None:
    with pytest.raises(StartError) as raised:
        refuse_proxy("https://metrics.internal", {"HTTPS_PROXY": "http://me:secret@proxy"})
    assert "secret" not in str(raised.value)
