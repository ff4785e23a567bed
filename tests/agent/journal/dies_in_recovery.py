"""An agent that kills itself in its recovery: ``python -m tests.agent.journal.dies_in_recovery CALLS``.

It does so after so many calls of the disk that change something, or when all that was left is stored. The settings and
the sockets are those of any agent. If nothing was left, it ends when it has started.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from agent.app import Agent, Outside
from agent.forward.api_key import ApiKey
from agent.journal.recovery import JOURNAL
from agent.receive.activation import passed_sockets
from agent.settings import load_settings
from agent.spool.disk import Disk
from agent.telemetry.log import log_to
from runtime.log_lines import standard_error
from tests.agent.journal.tries import tries_of

LAST: Final = frozenset({"journal_redone", "started"})


def die() -> None:
    """What the kernel would do with SIGKILL from outside."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(calls: int) -> None:
    """Run until the kill."""
    settings = load_settings(os.environ)
    journal, left = settings.spool_dir / JOURNAL, calls
    before, log = tries_of(journal), log_to(standard_error())

    def dying(call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any) -> Any:
            nonlocal left
            result = call(*args)
            left -= tries_of(journal) > before
            if not left:
                die()
            return result

        return called

    def tell(event: str, message: str) -> None:
        log(event, message)
        if event in LAST:
            die()

    disk = Disk(dying(os.write), dying(os.fsync), dying(os.replace), dying(os.unlink))
    key = ApiKey(settings.api_key, settings.api_key_file)
    agent = Agent(settings, key, tell, Outside(disk=disk), passed_sockets(os.environ, os.getpid()))
    asyncio.run(agent.run(asyncio.Event()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
