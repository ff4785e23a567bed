"""The event loop's own time, which a test moves on where it would have to wait."""

import asyncio


def skip(seconds: float) -> None:
    """So much time passes at once for the running loop: what is due by then happens in its next turn."""
    loop = asyncio.get_running_loop()
    time = loop.time
    loop.time = lambda: time() + seconds  # type: ignore[method-assign]
