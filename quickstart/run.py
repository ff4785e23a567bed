"""Runs central and an agent on this host for ``make run``, makes a key, and prints what to try.

Each runs in its own session, so that Ctrl-C reaches only this process. This process stops the agent first, because the
agent's last flush needs central. If this process is killed, both end too. If make is killed, this process ends.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

import click

from central.access.key_file import read_key, write_key
from central.client import Client, ClientError, Target, target_of
from central.settings import load_settings
from quickstart.plan import Plan, agent_settings, greeting, make_plan
from runtime.settings import SettingsError
from runtime.start_error import StartError

READY_TRIES: Final = 300
READY_PAUSE_SECONDS: Final = 0.1
STOP_SECONDS: Final = 25.0
PR_SET_PDEATHSIG: Final = 1
"""An option of prctl(2): the process gets a signal when its parent ends, also if the parent is killed."""


class Child(NamedTuple):
    """A program this process started and must stop."""

    name: str
    process: asyncio.subprocess.Process


def main() -> None:
    """Run until SIGINT, SIGTERM or SIGHUP (exit code 0), or until a child ends by itself (1)."""
    try:
        settings = load_settings(os.environ)
        plan = make_plan(settings, os.environ)
    except SettingsError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except StartError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    if "MAKELEVEL" in os.environ:
        _ends_with_parent()()
    sys.exit(asyncio.run(run(plan, os.environ)))


def _ends_with_parent() -> Callable[[], object]:
    """A function that makes its process get SIGTERM when the parent ends. It runs after a fork, so it loads nothing."""
    return partial(ctypes.CDLL(None).prctl, PR_SET_PDEATHSIG, signal.SIGTERM.value)


async def run(plan: Plan, environ: Mapping[str, str]) -> int:
    """Start both programs, wait for a signal or until one ends, then stop both. Returns the exit code."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    children: list[Child] = []
    code = 0
    try:
        await _until(stop, _start_and_watch(plan, environ, children))
        click.echo("\nStopping: the agent sends what it has counted, then the service stops.")
    except (StartError, ClientError) as error:
        click.echo(f"Error: {error}", err=True)
        code = 1
    finally:
        for child in reversed(children):
            if not await stopped(child):
                code = 1
    if code == 0:
        click.echo(f"Stopped. The data stays in {plan.settings.data_dir}.")
    return code


async def _until(stop: asyncio.Event, work: Awaitable[None]) -> None:
    """Run ``work`` until it raises or ``stop`` is set."""
    task = asyncio.ensure_future(work)
    waiter = asyncio.ensure_future(stop.wait())
    done, _ = await asyncio.wait((task, waiter), return_when=asyncio.FIRST_COMPLETED)
    for pending in {task, waiter} - done:
        pending.cancel()
        with suppress(asyncio.CancelledError):
            await pending
    if task in done:
        task.result()


async def _start_and_watch(plan: Plan, environ: Mapping[str, str], children: list[Child]) -> None:
    """Start both programs, print the greeting and watch them. Never returns; raises StartError or ClientError."""
    central = await _spawn("central", ["serve"], {**environ, **plan.central_environ}, children)
    await answers(central, Target(plan.settings.url, "", "", plan.settings.tls_cert))

    key = await asyncio.to_thread(_key, plan)
    agent = await _spawn("agent", ["run"], {**environ, **agent_settings(plan, environ)}, children)
    await answers(agent, Target(plan.agent_url, "", ""))

    click.echo(greeting(plan, key, time.time()))
    ended = {asyncio.ensure_future(child.process.wait()): child for child in children}
    try:
        done, _ = await asyncio.wait(ended, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in ended:
            waiter.cancel()
    child = ended[done.pop()]
    raise StartError(f"{child.name} ended by itself (exit code {child.process.returncode}); its log is above")


async def _spawn(module: str, arguments: list[str], environ: Mapping[str, str], children: list[Child]) -> Child:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env=environ,
        start_new_session=True,
        preexec_fn=_ends_with_parent(),
    )
    child = Child(module, process)
    children.append(child)
    return child


async def answers(child: Child, target: Target, tries: int = READY_TRIES) -> None:
    """Return when the child's /health answers. Raises StartError if the child ends or does not answer in time."""
    client = Client(target)
    for _ in range(tries):
        if child.process.returncode is not None:
            raise StartError(f"{child.name} did not start (exit code {child.process.returncode}); its log is above")
        with suppress(ClientError):
            await asyncio.to_thread(client.get, "/health")
            return
        await asyncio.sleep(READY_PAUSE_SECONDS)
    raise StartError(
        f"{child.name} does not answer at {target.url} after {tries * READY_PAUSE_SECONDS:g} s; see its log"
    )


def _key(plan: Plan) -> str:
    """The key of earlier runs if it still works; else a new key, saved in a file that only its owner can read."""
    with suppress(OSError, ValueError):
        kept = read_key(plan.key_file)
        with suppress(ClientError):
            Client(Target(plan.settings.url, kept, str(plan.key_file), plan.settings.tls_cert)).get(
                "/api/metrics?limit=1"
            )
            return kept
    admin = Client(target_of(plan.settings))
    made = str(admin.post("/api/admin/keys", {"name": "quickstart", "scopes": ["ingest", "query"]})["data"]["key"])
    write_key(plan.key_file, made)
    return made


async def stopped(child: Child, seconds: float = STOP_SECONDS) -> bool:
    """Ask the child to stop, and wait. False if it had to be killed, or if its exit code is not 0."""
    process = child.process
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            click.echo(f"Error: {child.name} did not stop within {seconds:g} s and was killed", err=True)
            process.kill()
            await process.wait()
    return process.returncode == 0


if __name__ == "__main__":
    main()
