"""Work in steps between which the event loop does other things: one step per turn of the loop.

Whoever finds that there is work asks for turns, and several may ask before it is done. If each of them began a chain of
its own, a turn would do as many steps as there were askers, and keep the loop from everything else meanwhile.
"""

import asyncio
from collections.abc import Callable


class Turns:
    """Calls ``step`` once per turn of the running loop, until it returns False.

    If ``step`` raises, the loop reports it, and the next ``begin`` goes on. After ``begin`` there may be one more turn,
    also where the work was done by somebody else meanwhile.
    """

    def __init__(self, step: Callable[[], bool]) -> None:
        self._step = step
        self._next: asyncio.Handle | None = None

    def begin(self) -> None:
        """Take the first step in the next turn. While steps are taken already, this changes nothing."""
        if self._next is None:
            self._next = asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._next = None
        if self._step():
            self.begin()
