"""Requests that are not valid HTTP or TLS: counted by reason, with one log line, and documented."""

import asyncio
import contextlib
import re
import socket
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from central.web import server, tls_failures
from tests.central.harness import Central, Log, running
from tests.central.web.test_api_service import TLS, exchange
from tests.doc_pages import ROOT

HEAD = b"POST /api/metrics/counter HTTP/1.1\r\nHost: x\r\n"
NO_HTTP = [
    (b"nonsense\r\n\r\n", "method"),
    (b"GET /health HTTP/9.9\r\n\r\n", "request_line"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "tls"),
    (b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n", "url"),
    (b"GET /health HTTP/1.1\r\nno colon\r\n\r\n", "message"),
    (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n", "too_long"),
    (HEAD + b"X: " + b"y" * 20_000 + b"\r\n\r\n", "too_long"),
    (HEAD + b"Content-Length: -1\r\n\r\n", "message"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", "message"),
    (HEAD + b"Connection: close\r\nExpect: miracles\r\n\r\n", "expect"),
    (b"GET /health HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "message"),
]


@pytest.mark.parametrize(("sent", "reason"), NO_HTTP)
async def test_what_is_no_http_is_counted_with_its_reason_and_is_one_line(
    central: Central,
    log: Log,
    sent: bytes,
    reason: str,
) -> None:
    assert b" 400 " in (await exchange(central, sent)).splitlines()[0]
    text = (await central.ask("GET", "/metrics", key=None)).text
    assert re.findall(r"^(fiesta_unreadable_requests_total\{.*) 1.0$", text, re.MULTILINE) == [
        f'fiesta_unreadable_requests_total{{reason="{reason}"}}'
    ]
    assert [event["reason"] for event in log.events("request_is_no_http")] == [reason]
    assert "nonsense" not in log.getvalue()


NO_TEXT = (
    b"GET /health HTTP/1.1\r\nExpect: \xff",
    b"GET /nothing HTTP/1.1\r\nExpect: \xff",
    b"GET /\xff HTTP/1.1",
    b"GET /page/\xff HTTP/1.1",
    b"GET /api/metrics?prefix=\xff HTTP/1.1",
    b"GET /api/metrics?\xff=1 HTTP/1.1",
    b"GET /api/metrics?prefix=%ED%A0%80 HTTP/1.1",
    b"GET /api/metrics?%ED%A0%80=1&%ED%A0%80=2 HTTP/1.1",
    b"GET /api/metrics/aggregate?name=\xff&operation=\xff&window=\xff&start=\xff&end=\xff HTTP/1.1",
    b"DELETE /api/admin/metrics/\xff HTTP/1.1",
    b"DELETE /api/admin/metrics/%ED%A0%80 HTTP/1.1",
    *(
        b"POST /api/metrics/batch HTTP/1.1\r\n%s: \xff" % name
        for name in (b"Host", b"Origin", b"Accept", b"Content-Encoding", b"Content-Type", b"Idempotency-Key", b"Cookie")
    ),
    b"POST /api/metrics/batch HTTP/1.1\r\nX-Request-Id: \xff",
    b"GET /health HTTP/1.1\r\nUser-Agent: \xff\r\nX-API-Key: \xff\r\nTransfer-Encoding: \xff",
    b"\xffGET /health HTTP/1.1",
)
"""Heads with bytes that are no UTF-8, wherever a client may put some."""


@pytest.mark.parametrize("head", NO_TEXT)
async def test_bytes_that_are_no_text_are_no_fault_of_ours(central: Central, log: Log, head: bytes) -> None:
    host = b"" if b"Host" in head else b"\r\nHost: x"
    rest = b"%s\r\nX-API-Key: %s\r\nConnection: close\r\n\r\n" % (host, central.key.encode())
    answer = await exchange(central, head + rest)
    assert int(answer.split(b" ", 2)[1]) < 500
    assert not log.events("request_crashed")


async def test_two_keys_in_one_request_are_refused_whichever_is_good(central: Central) -> None:
    for first, second in ((central.key, central.key), (central.key, "gf_x"), ("", central.key)):
        keys = f"X-API-Key: {first}\r\nx-api-key: {second}\r\n"
        head = f"GET /api/metrics HTTP/1.1\r\nHost: x\r\n{keys}Connection: close\r\n\r\n"
        answer = await exchange(central, head.encode())
        assert answer.startswith(b"HTTP/1.1 401 "), answer
        assert b"the request has more than one X-API-Key header; send one" in answer


def strict() -> ssl.SSLContext:
    """A client that trusts nobody."""
    return ssl.create_default_context(cadata=None)


def old() -> ssl.SSLContext:
    """A client of TLS 1.1."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        made.minimum_version = ssl.TLSVersion.TLSv1
        made.maximum_version = ssl.TLSVersion.TLSv1_1
    made.set_ciphers("ALL:@SECLEVEL=0")
    return made


def odd() -> ssl.SSLContext:
    """A client whose one cipher is for certificates of another kind."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    made.maximum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    return made


def shake_hands(central: Central, context: ssl.SSLContext) -> None:
    """Try to, as most clients do: asyncio's says nothing to the server where it does not like the certificate."""
    address = urlsplit(central.url)
    assert address.hostname is not None and address.port is not None
    with (
        socket.create_connection((address.hostname, address.port)) as plain,
        pytest.raises(ssl.SSLError),
        context.wrap_socket(plain, server_hostname=address.hostname),
    ):
        pass


async def test_failed_handshakes_are_counted_by_reason_and_logged(
    tmp_path: Path,
    log: Log,
) -> None:
    environ = {"METRICS_TLS_CERT": str(TLS / "cert.pem"), "METRICS_TLS_KEY": str(TLS / "key.pem")}
    async with running(tmp_path, environ) as central:
        trusted = ssl.create_default_context(cafile=str(TLS / "cert.pem"))
        for context in (strict(), old(), odd()):
            await asyncio.to_thread(shake_hands, central, context)
        for sent in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0\0\0\0"):
            with contextlib.suppress(ConnectionError):
                await exchange(central, sent)
        wanted = dict.fromkeys(("refused_by_client", "version", "cipher", "http", "other"), "1.0")
        counted: dict[str, str] = {}
        while counted != wanted:  # a client's last word may come after the end of its attempt
            text = (await central.ask("GET", "/metrics", key=None, ssl=trusted)).text
            counted = dict(re.findall(r'^fiesta_tls_failures_total\{reason="(\w+)"\} (.+)$', text, re.MULTILINE))
    assert sorted(event["reason"] for event in log.events("tls_handshake_failed")) == sorted(wanted)


def test_every_reason_is_documented_and_no_other() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text().partition("## Broken requests and handshakes")[2]
    _, http, tls = re.split(r"\| `fiesta_\w+_total` \|", page)
    for part, known in (
        (http, {server.TLS, server.EXPECT, *dict(server.KINDS).values()}),
        (tls, set(dict(tls_failures.KINDS).values())),
    ):
        assert set(re.findall(r"^\| `([a-z_]+)` \|", part, re.MULTILINE)) == known
