"""Paths without a key, and what every answer has: probes, metrics, CORS, TLS, broken requests."""

import asyncio
import json
import ssl
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from central.app import Outside
from tests.central.harness import QUICK_HASH, Central, running

TLS = Path(__file__).parents[2] / "data" / "tls"
ORIGIN = "https://dash.example.com"


# --- probes and documents


async def test_health_ready_and_the_documents_need_no_key(central: Central) -> None:
    table = {
        "/health": "application/json; charset=utf-8",
        "/ready": "application/json; charset=utf-8",
        "/metrics": "text/plain; version=1.0.0; charset=utf-8",
        "/openapi.json": "application/json",
        "/docs": "text/html; charset=utf-8",
        "/": "text/html; charset=utf-8",
    }
    got = {path: await central.ask("GET", path, key=None) for path in table}
    assert {path: reply.status for path, reply in got.items()} == dict.fromkeys(table, 200)
    assert {path: reply.headers["Content-Type"] for path, reply in got.items()} == table
    assert got["/health"].json == {"success": True, "status": "ok"}
    assert got["/ready"].json == {"success": True, "status": "ready", "dependencies": {"store": "ok", "clock": "ok"}}
    assert got["/docs"].text == got["/"].text
    assert got["/openapi.json"].json["info"]["title"] == "Glowing Fiesta"


async def test_a_key_that_is_not_valid_does_not_close_the_open_paths(central: Central) -> None:
    assert (await central.ask("GET", "/health", key="nonsense")).status == 200


async def test_head_is_answered_as_get_without_the_body(central: Central) -> None:
    for path in ("/health", "/docs", "/api/metrics"):
        reply = await central.ask("HEAD", path)
        assert (reply.status, reply.text) == (200, "")


async def test_every_path_of_the_description_is_served_and_no_other_under_api(central: Central) -> None:
    spec = json.loads((await central.ask("GET", "/openapi.json", key=None)).text)
    for path, methods in spec["paths"].items():
        filled = path.replace("{id}", "999").replace("{name}", "nobody")
        for method in methods:
            reply = await central.ask(method.upper(), filled, key=None)
            assert reply.status == (401 if methods[method]["security"] else 200), (method, path)


# --- CORS


async def test_no_origin_is_allowed_unless_it_is_listed(central: Central) -> None:
    headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
    asked = await central.ask("GET", "/health", headers=headers)
    preflight = await central.ask("OPTIONS", "/api/metrics", key=None, headers=headers)
    assert preflight.status == 405
    assert not [name for name in [*asked.headers, *preflight.headers] if name.startswith("Access-Control")]


async def test_a_listed_origin_may_ask_and_read(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_CORS_ORIGINS": f"{ORIGIN}, http://localhost:3000"}) as central:
        headers = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
        preflight = await central.ask("OPTIONS", "/api/metrics/counter", key=None, headers=headers)
        assert (preflight.status, preflight.text) == (204, "")
        assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert {"X-API-Key", "Idempotency-Key", "X-Request-Id"} <= set(
            preflight.headers["Access-Control-Allow-Headers"].split(", ")
        )
        answers = [
            await central.counter("a", headers={"Origin": ORIGIN}),
            await central.counter("a b", headers={"Origin": ORIGIN}),
            await central.ask("GET", "/api/metrics", key="bad", headers={"Origin": ORIGIN}),
            await central.ask("GET", "/nowhere", key=None, headers={"Origin": ORIGIN}),
        ]
        assert [reply.status for reply in answers] == [201, 400, 401, 404]
        for reply in answers:
            assert reply.headers["Access-Control-Allow-Origin"] == ORIGIN
            assert reply.headers["Vary"] == "Origin"
            shown = set(reply.headers["Access-Control-Expose-Headers"].split(", "))
            assert {"RateLimit-Remaining", "Retry-After", "X-Request-Id"} <= shown
            assert "Access-Control-Allow-Credentials" not in reply.headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example.com", f"{ORIGIN}.evil.com", "null", "http://dash.example.com"]
)
async def test_any_other_origin_may_not(tmp_path: Path, origin: str) -> None:
    async with running(tmp_path, {"METRICS_CORS_ORIGINS": ORIGIN}) as central:
        asked = await central.ask("GET", "/health", headers={"Origin": origin})
        preflight = await central.ask("OPTIONS", "/api/metrics", key=None, headers={"Origin": origin})
        assert (asked.status, preflight.status) == (200, 405)
        assert "Access-Control-Allow-Origin" not in {**asked.headers, **preflight.headers}
        assert asked.headers["Vary"] == "Origin"  # or a cache would give this answer to a listed origin


# --- TLS


async def test_with_a_certificate_it_speaks_tls_of_1_2_and_up(tmp_path: Path) -> None:
    environ = {"METRICS_TLS_CERT": str(TLS / "cert.pem"), "METRICS_TLS_KEY": str(TLS / "key.pem")}
    async with running(tmp_path, environ) as central:
        trusted = ssl.create_default_context(cafile=str(TLS / "cert.pem"))
        assert central.url.startswith("https://")
        assert (await central.counter("a", ssl=trusted)).status == 201
        trusted.maximum_version = ssl.TLSVersion.TLSv1_2
        assert (await central.counter("a", ssl=trusted)).status == 201
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await central.counter("a", ssl=True)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        with pytest.warns(DeprecationWarning):
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(aiohttp.ClientConnectorError):
            await central.counter("a", ssl=old)
        with pytest.raises(aiohttp.ClientError):
            async with central.http.get(central.url.replace("https", "http") + "/health"):
                pass


# --- requests that are none


async def exchange(central: Central, sent: bytes, *, hang_up: bool = False) -> bytes:
    """Send bytes, and read all that comes until the service closes."""
    address = urlsplit(central.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(sent)
    if hang_up:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def test_what_is_no_http_gets_a_400_and_the_service_goes_on(central: Central) -> None:
    head = b"POST /api/metrics/counter HTTP/1.1\r\nHost: x\r\nX-API-Key: " + central.key.encode() + b"\r\n"
    none, long = "this is not a valid HTTP request", "the request line may have 32768 bytes and each header 16384"
    table = {
        b"nonsense\r\n\r\n": none,
        b"GET /health HTTP/9.9\r\n\r\n": none,
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n": none,
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\n\r\n": long,
        b"GET /health HTTP/1.1\r\nX: " + b"y" * 20_000 + b"\r\n\r\n": long,
        head + b"Content-Length: -1\r\n\r\n": none,
        head + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}": none,
        head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n": none,
        head + b"Connection: close\r\nExpect: miracles\r\n\r\n": "Expect must be 100-continue, or left out",
        b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 1\r\n\r\n": "Expect must be 100-continue",
    }
    for sent, message in table.items():
        top, body = (await exchange(central, sent)).split(b"\r\n\r\n")
        assert top.startswith((b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")), (sent[:60], top)
        assert b"X-Request-Id: " in top and b"Server: fiesta-central\r\n" in top
        error = json.loads(body)["error"]
        assert (error["code"], message in error["message"]) == ("VALIDATION_ERROR", True), (sent[:60], error)
    assert (await central.counter("a")).status == 201


async def test_a_body_that_breaks_off_stores_nothing(central: Central) -> None:
    head = b"POST /api/metrics/counter HTTP/1.1\r\nHost: x\r\nX-API-Key: " + central.key.encode()
    await exchange(central, head + b'\r\nContent-Length: 100\r\n\r\n{"name":"a"}', hang_up=True)
    await exchange(central, head + b"\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n" + b'{"name":"a"}', hang_up=True)
    assert (await central.counter("b")).status == 201
    assert await central.total("a") == 0


@pytest.mark.parametrize("sent", [b"", b"1", b"1\r\n{\r\n", b"1\r\n{\r\nzz\r\n"])
async def test_a_body_that_does_not_arrive_is_not_waited_for_for_ever(tmp_path: Path, sent: bytes) -> None:
    outside = Outside(bcrypt_cost=QUICK_HASH, body_seconds=0.05)
    async with running(tmp_path, outside=outside) as central:
        host, port = central.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = f"POST /api/metrics/counter HTTP/1.1\r\nHost: x\r\nX-API-Key: {central.key}\r\nExpect: 100-continue\r\n"
        writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sent)
        answer = await reader.readuntil(b"}}")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"the body did not arrive within 0.05 s" in answer
        writer.close()
        while (reply := await central.counter("a")).status == 503:
            pass  # a busy machine may not send a body in time
        assert reply.status == 201


async def test_a_client_that_says_100_continue_is_told_to_go_on(central: Central) -> None:
    reply = await central.post("/api/metrics/counter", {"name": "a"}, expect100=True)
    assert reply.status == 201
