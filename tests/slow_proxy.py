"""A TCP line to a server of loopback: what the server answers arrives late, as a test says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class SlowProxy:
    """``delay`` is in seconds, for every piece that the server sends."""

    def __init__(self, target: int) -> None:
        self.delay = 0.0
        self.port = 0
        self._target = target
        self._lines: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side closes it."""
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        answers, server = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, server, late=False))
                both.create_task(self._carry(answers, writer, late=True))
        finally:
            self._lines.discard(line)
            for end in (server, writer):
                end.transport.abort()

    async def close(self) -> None:
        """Cut every line."""
        for line in self._lines:
            line.cancel()
        if self._lines:
            await asyncio.wait(self._lines)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, late: bool) -> None:
        with suppress(ConnectionError):
            while piece := await source.read(65_536):
                if late:
                    await asyncio.sleep(self.delay)
                target.write(piece)
                await target.drain()
        target.transport.abort()


@asynccontextmanager
async def slow_proxy(target: int) -> AsyncIterator[SlowProxy]:
    """A proxy before the server at port ``target``."""
    proxy = SlowProxy(target)
    async with await asyncio.start_server(proxy.serve, "127.0.0.1", 0) as listener:
        proxy.port = listener.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            listener.close()
            await proxy.close()
