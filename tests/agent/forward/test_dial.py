"""Names that have several addresses, or other ones by now."""

import asyncio
import select
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from agent.forward.api_key import ApiKey
from agent.forward.dial import ADDRESS_SECONDS, Dialer
from agent.forward.http_connection import LARGEST_AGE_SECONDS, HttpConnection
from agent.forward.send import Sender, UnreachableError
from tests.agent.fakes import KEY, RealCentral
from tests.loop_time import skip

TLS = Path(__file__).parents[2] / "data" / "tls"
FIRST, SECOND, THIRD = "127.0.0.1", "127.0.0.2", "127.0.0.3"


class Network:
    """Servers on addresses of this host under one port, and a name that has the addresses in ``addresses``."""

    def __init__(self) -> None:
        self.addresses: list[str] = []
        self.asked = 0
        self.found = asyncio.Event()
        """Set when the name was resolved: from then on its first address is tried."""
        self.silent_reached = asyncio.Event()
        """Set when a request has come to an address that does not answer."""
        self._bound = bound((FIRST, SECOND, THIRD))
        self.port: int = self._bound[FIRST].getsockname()[1]
        self._servers: list[asyncio.Server] = []

    async def find(self, host: str, port: int) -> list[str]:
        assert (host, port) == ("metrics.internal", self.port)
        self.asked += 1
        self.found.set()
        return list(self.addresses)

    async def serve(self, address: str) -> None:
        """Answer each request with the address."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while await reader.readuntil(b"\r\n\r\n"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n%b" % address.encode())
            except (asyncio.IncompleteReadError, ConnectionError):
                writer.close()

        await self._start(address, answer)

    async def serve_silence(self, address: str) -> None:
        """Take connections and say nothing."""

        async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            self.silent_reached.set()
            await reader.read()
            writer.close()

        await self._start(address, silence)

    async def _start(self, address: str, answer: object) -> None:
        server = await asyncio.start_server(answer, sock=self._bound[address])  # type: ignore[arg-type]
        self._servers.append(server)

    def fill(self, address: str) -> socket.socket:
        """Listen, and let a connection wait that nobody accepts: what comes after it is not even refused."""
        full = self._bound[address]
        full.listen(0)
        client = socket.create_connection((address, self.port))
        select.select([full], [], [])  # only now does it wait there, whatever the client knows
        return client

    async def stop(self, number: int) -> None:
        self._servers[number].close()
        await self._servers[number].wait_closed()

    async def close(self) -> None:
        for number in range(len(self._servers)):
            await self.stop(number)
        for sock in self._bound.values():
            sock.close()

    def connection(self, now: list[float] | None = None) -> HttpConnection:
        clock = now or [0.0]
        dial = partial(Dialer, find=self.find)
        return HttpConnection(f"http://metrics.internal:{self.port}", None, lambda: clock[0], dial)


def bound(addresses: Sequence[str]) -> dict[str, socket.socket]:
    """A socket for each address, all on one port that no other program uses; where none listens, it is refused."""
    while True:
        with ExitStack() as stack:
            socks = {address: stack.enter_context(socket.socket()) for address in addresses}
            port = 0
            try:
                for address, sock in socks.items():
                    sock.bind((address, port))
                    port = sock.getsockname()[1]
            except OSError:  # somebody has that port on one of them
                continue
            stack.pop_all()
            return socks


@asynccontextmanager
async def a_network() -> AsyncIterator[Network]:
    network = Network()
    yield network
    await network.close()


async def ask(connection: HttpConnection) -> str:
    return (await connection.request("GET", "/x", {})).body.decode()


async def test_an_address_without_a_listener_is_skipped() -> None:
    async with a_network() as network:
        await network.serve(SECOND)
        network.addresses = [FIRST, THIRD, SECOND]
        connection = network.connection()
        assert await ask(connection) == SECOND
        await connection.close()


async def test_an_address_that_does_not_answer_has_its_own_time_limit() -> None:
    async with a_network() as network:
        await network.serve(SECOND)
        with network.fill(FIRST):
            network.addresses = [FIRST, SECOND]
            connection = network.connection()
            asking = asyncio.create_task(ask(connection))
            await network.found.wait()
            skip(ADDRESS_SECONDS)
            assert await asking == SECOND
            await connection.close()


async def test_an_address_that_never_answers_comes_last_the_next_time() -> None:
    async with a_network() as network:
        await network.serve_silence(FIRST)
        await network.serve(SECOND)
        network.addresses = [FIRST, SECOND]
        connection = network.connection()
        asking = asyncio.create_task(ask(connection))
        await network.silent_reached.wait()
        asking.cancel()  # as a caller does whose time is over
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert await ask(connection) == SECOND
        await connection.close()


async def test_when_every_address_fails_each_cause_is_reported() -> None:
    async with a_network() as network:
        await network.serve_silence(FIRST)
        await network.stop(0)
        network.addresses = [FIRST, "192.0.2.256"]
        with pytest.raises(OSError, match=rf"{FIRST}: Connection refused; 192\.0\.2\.256: "):
            await ask(network.connection())


async def test_a_name_that_resolves_to_a_new_address_is_followed() -> None:
    now = [0.0]
    async with a_network() as network:
        await network.serve(FIRST)
        await network.serve(SECOND)
        network.addresses = [FIRST]
        connection = network.connection(now)
        assert await ask(connection) == FIRST
        network.addresses = [SECOND]
        said = []
        while now[0] <= LARGEST_AGE_SECONDS:
            now[0] += 30
            said.append(await ask(connection))
        assert said == [FIRST] * (len(said) - 1) + [SECOND]
        assert network.asked == 2
        await connection.close()


async def test_a_ca_file_that_was_replaced_is_used_by_the_next_connection(tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.pem"
    shutil.copy(TLS / "other_cert.pem", ca_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "cert.pem", TLS / "key.pem")
    async with (
        RealCentral().serving(ssl_context=context) as central,
        Sender(central.url, ApiKey(KEY, None), ca_file) as sender,
    ):
        with pytest.raises(UnreachableError, match="certificate"):
            await sender.health()
        ca_file.write_text("half of it")
        with pytest.raises(UnreachableError, match=r"certificate.*FIESTA_AGENT_CA_FILE .* cannot be read again"):
            await sender.health()
        shutil.copy(TLS / "cert.pem", ca_file)
        assert (await sender.health()).status == 200
