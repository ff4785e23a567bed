"""The HTTP edge against real servers."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from agent.forward.api_key import ApiKey
from agent.forward.http_connection import IDLE_SECONDS
from agent.forward.outcome import Action, Allowance, allowance, outcome
from agent.forward.send import Sender, UnreachableError, tls_context
from tests.agent.fakes import KEY, RealCentral, a_batch

TLS = Path(__file__).parents[2] / "data" / "tls"
Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def a_server(handler: Handler) -> AsyncIterator[str]:
    """The URL of a server that answers everything with ``handler``."""
    runner = web.ServerRunner(web.Server(handler), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def a_sender(url: str, ca_file: Path | None = None, timeout: float = 10) -> Sender:
    return Sender(url, ApiKey(KEY, None), ca_file, timeout)


async def test_a_batch_follows_the_public_api() -> None:
    async with RealCentral().serving() as central, a_sender(central.url) as sender:
        answer = await sender.post(a_batch(1).id, a_batch(1).body())
        assert outcome(answer, 3).action is Action.ACK
        assert answer.date is not None
        (items,) = central.stored.values()
        assert [item["name"] for item in items] == ["n0", "n1", "n2"]
        (headers,) = central.headers
        assert headers["X-API-Key"] == KEY
        assert headers["Idempotency-Key"] == a_batch(1).id
        assert headers["Content-Type"] == "application/json"
        assert headers["Content-Encoding"] == "gzip"
        assert headers["User-Agent"].startswith("glowing-fiesta-agent/")


async def test_the_service_says_how_far_its_clock_may_be_behind() -> None:
    async def handler(_: web.BaseRequest) -> web.Response:
        return web.json_response({"success": True}, headers={"Metrics-Clock-Skew": "7"})

    async with a_server(handler) as url, a_sender(url) as sender:
        assert [(await sender.health()).clock_skew, (await sender.post("id", b"{}")).clock_skew] == ["7", "7"]


async def test_the_body_is_compressed() -> None:
    sent: list[bytes] = []
    lengths: list[str] = []

    async def handler(request: web.BaseRequest) -> web.Response:
        sent.append(await request.read())  # aiohttp has undone the encoding
        lengths.append(request.headers["Content-Length"])
        return web.Response(status=503, headers={"Retry-After": "7"})

    body = a_batch(1, 1_000).body()
    async with a_server(handler) as url, a_sender(url) as sender:
        answer = await sender.post("id", body)
    assert (answer.status, answer.retry_after) == (503, "7")
    assert sent == [body]
    assert int(lengths[0]) < len(body) / 4


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed_and_the_key_goes_nowhere(status: int) -> None:
    paths = []

    async def handler(request: web.BaseRequest) -> web.Response:
        paths.append(request.path)
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with a_server(handler) as url, a_sender(url) as sender:
        answer = await sender.post("id", b"{}")
    assert answer.status == status
    assert paths == ["/api/metrics/batch"]
    assert outcome(answer, 1).action is Action.SHOUT


async def test_a_path_in_the_url_is_kept_and_health_carries_no_key() -> None:
    requests = []

    async def handler(request: web.BaseRequest) -> web.Response:
        requests.append((request.method, request.path_qs, request.headers.get("X-API-Key")))
        return web.json_response({"success": True})

    async with a_server(handler) as url, a_sender(f"{url}/base/") as sender:
        await sender.health()
        await sender.try_key()
        await sender.post("id", b"{}")
    assert requests == [
        ("GET", "/base/health", None),
        ("POST", "/base/api/metrics/batch", KEY),
        ("POST", "/base/api/metrics/batch", KEY),
    ]


async def test_an_endless_answer_is_unreachable() -> None:
    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    async with a_server(handler) as url, a_sender(url) as sender:
        with pytest.raises(UnreachableError, match="longer than"):
            await sender.health()


async def test_no_answer_in_time_is_unreachable() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        return await asyncio.Future()

    async with a_server(handler) as url, a_sender(url, timeout=0.05) as sender:
        with pytest.raises(UnreachableError, match=r"within 0\.05 s"):
            await sender.health()


async def test_a_connection_cut_before_the_answer_is_unreachable() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with a_server(handler) as url, a_sender(url) as sender:
        with pytest.raises(UnreachableError, match="cannot be reached"):
            await sender.post("id", b"{}")


async def test_a_port_without_a_listener_is_unreachable() -> None:
    async with a_server(lambda request: asyncio.sleep(0, web.Response())) as url:
        pass
    async with a_sender(url) as sender:
        with pytest.raises(UnreachableError, match="Connection refused"):
            await sender.health()


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    return context


async def test_tls_with_our_own_authority() -> None:
    async with RealCentral().serving(ssl_context=server_tls()) as central:
        async with a_sender(central.url, TLS / "cert.pem") as sender:
            assert outcome(await sender.post("id", a_batch(1).body()), 3).action is Action.ACK
        for ca_file in (None, TLS / "other_cert.pem"):
            async with a_sender(central.url, ca_file) as sender:
                with pytest.raises(UnreachableError, match="certificate"):
                    await sender.post("id", b"{}")


async def test_tls_below_1_2_is_refused() -> None:
    old = server_tls()
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with RealCentral().serving(ssl_context=old) as central, a_sender(central.url, TLS / "cert.pem") as sender:
        with pytest.raises(UnreachableError):
            await sender.health()
    assert tls_context(None).minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_bad_ca_file_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    for path in (tmp_path / "ca.pem", tmp_path / "none.pem"):
        with pytest.raises(OSError):
            a_sender("https://localhost", path)


async def test_a_new_key_in_the_file_is_used(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("old")
    async with RealCentral().serving() as central, Sender(central.url, ApiKey(None, tmp_path / "key")) as sender:
        assert (await sender.try_key()).status == 401
        (tmp_path / "key").write_text(KEY)
        assert sender.try_new_key()
        assert (await sender.try_key()).status == 400


async def test_each_batch_goes_with_the_key_that_is_in_the_file(tmp_path: Path) -> None:
    """Also while the service still takes the old key."""
    file = tmp_path / "key"
    file.write_text("old")
    async with RealCentral().serving() as central, Sender(central.url, ApiKey(None, file)) as sender:
        for written, used in (("new", "new"), ("", "new"), (KEY, KEY)):
            file.write_text(written)
            await sender.post(a_batch(1).id, a_batch(1).body())
            assert central.headers[-1]["X-API-Key"] == used


async def test_a_sender_works_inside_async_with_only() -> None:
    sender = a_sender("http://127.0.0.1:1")
    with pytest.raises(RuntimeError, match="async with"):
        await sender.health()
    await sender.__aexit__(None, None, None)


async def test_one_connection_is_kept_over_the_longest_interval() -> None:
    ports = set()

    async def handler(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername"))
        return web.json_response({"success": True})

    async with a_server(handler) as url, a_sender(url) as sender:
        for _ in range(5):
            await sender.health()
            await sender.post("id", b"{}")
    assert len(ports) == 1
    assert 60 < IDLE_SECONDS < 75, "longer than any flush interval, shorter than nginx waits"


async def test_the_keys_limit_in_the_answer_is_read() -> None:
    async def handler(request: web.BaseRequest) -> web.Response:
        limits = {"RateLimit-Limit": "600", "RateLimit-Remaining": "7", "RateLimit-Reset": "59"}
        return web.json_response({"success": True}, headers=limits)

    async with a_server(handler) as url, a_sender(url) as sender:
        assert allowance(await sender.post("id", b"{}")) == Allowance(600, 7, 59)


async def test_the_report_is_made_anew_for_each_attempt_and_the_body_stays() -> None:
    async with RealCentral().serving() as central, a_sender(central.url) as sender:
        made = iter(("one", "two"))
        sender.report = lambda: next(made)
        answers = [await sender.post(a_batch(1).id, a_batch(1).body()) for _ in range(2)]
        assert [headers["Metrics-Agent"] for headers in central.headers] == ["one", "two"]
        assert [outcome(answer, 3).action for answer in answers] == [Action.ACK] * 2  # it says no process: an older one
        assert [answer.process for answer in answers] == [None, None]
