"""An agent whose wall clock a test sets: ``python -m tests.agent.stepped FILE`` adds the seconds in FILE to it."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import uvloop

from agent.app import Agent, Outside
from agent.forward.api_key import ApiKey
from agent.settings import load_settings
from agent.telemetry.log import log_to


async def run(step: Path) -> None:
    """The agent of the environment's settings, until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = load_settings(os.environ)
    assert settings.api_key is not None
    outside = Outside(wall=lambda: time.time() + float(step.read_text()))
    await Agent(settings, ApiKey(settings.api_key, None), log_to(sys.stderr), outside).run(stop)


if __name__ == "__main__":
    uvloop.run(run(Path(sys.argv[1])))
