"""A TCP line to a server of loopback: what the server answers arrives late, or anything when a test says so."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Hold = Callable[[bytes, bool], Awaitable[object]]


class SlowProxy:
    """``delay`` is in seconds, for every piece that the server sends. ``hold`` is called with each piece, and whether
    it is an answer, and awaited before it goes on."""

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        self.hold: Hold | None = None
        self.port = 0
        self._target = target
        self._lines: set[asyncio.Task[None]] = set()
        self._ends: list[asyncio.StreamWriter] = []

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A client has come. Not a coroutine: so that ``close`` knows of it whenever that comes."""
        self._ends.append(writer)
        line = asyncio.create_task(self._serve(reader, writer))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)

    async def close(self) -> None:
        """Cut every line."""
        lines = list(self._lines)
        for line in lines:
            line.cancel()
        if lines:
            await asyncio.wait(lines)
        for end in self._ends:
            end.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it."""
        try:
            answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        except ConnectionError:
            writer.transport.abort()
            return
        self._ends.append(server)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, server, late=False))
                both.create_task(self._carry(answers, writer, late=True))
        finally:
            for end in (server, writer):
                end.transport.abort()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, late: bool) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(65_536):
                if self.hold is not None:
                    await self.hold(piece, late)
                if late:
                    await asyncio.sleep(self.delay)
                target.write(piece)
                await target.drain()
        target.transport.abort()


@asynccontextmanager
async def slow_proxy(target: int) -> AsyncIterator[SlowProxy]:
    """A proxy before the server at port ``target``."""
    proxy = SlowProxy(target)
    async with await asyncio.start_server(proxy.accept, "127.0.0.1", 0) as listener:
        proxy.port = listener.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            listener.close()
            await proxy.close()
