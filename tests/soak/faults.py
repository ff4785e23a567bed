"""What goes wrong in a soak: a table of faults, each with its beginning and its end."""

import asyncio
import random
import signal
from collections.abc import Callable

from tests.soak.fault_servers import Fault, Step, redis_faults, sql_faults
from tests.soak.rig import Host, Node, Rig

_CENTRAL = ("central killed", "central restarted", "central stopped")


def faults_of(rig: Rig, dice: random.Random) -> dict[str, Callable[[], Fault]]:
    """Every fault that this rig can have, by name; what is hit is chosen when it is made."""
    made: dict[str, Callable[[], Fault]] = {
        "central killed": lambda: _ended(dice.choice(rig.nodes), signal.SIGKILL, "killed"),
        "central restarted": lambda: _ended(dice.choice(rig.nodes), signal.SIGTERM, "restarted"),
        "central stopped": lambda: _stopped(dice.choice(rig.nodes)),
        "agent killed": lambda: _killed(dice.choice(rig.hosts)),
    }
    if rig.mariadb is None or rig.redis is None:
        return made
    database = [
        Fault("database killed", ("database",), *_thread(rig.mariadb.kill, rig.mariadb.start)),
        Fault("database stopped", ("database",), *_thread(rig.mariadb.pause, rig.mariadb.resume)),
        *sql_faults(rig.mariadb, rig.database),
    ]
    redis = [
        Fault("redis killed", ("redis",), rig.redis.kill, rig.redis.start),
        Fault("redis stopped", ("redis",), *_thread(rig.redis.pause, rig.redis.go_on)),
        *redis_faults(rig.redis),
    ]
    for fault in (*database, *redis):
        made[fault.name] = lambda fault=fault: fault  # type: ignore[misc]
    made["both killed"] = lambda: together(database[0], redis[0])
    made["both stopped"] = lambda: together(database[1], redis[1])
    made["database and redis"] = lambda: together(dice.choice(database), dice.choice(redis))
    made["database and central"] = lambda: together(dice.choice(database), made[dice.choice(_CENTRAL)]())
    made["redis and central"] = lambda: together(dice.choice(redis), made[dice.choice(_CENTRAL)]())
    return made


def together(*faults: Fault) -> Fault:
    """Faults that begin one after the other, and end in the same order."""

    async def begin() -> None:
        for fault in faults:
            await fault.begin()

    async def end() -> None:
        for fault in faults:
            await fault.end()

    away = tuple(what for fault in faults for what in fault.away)
    return Fault(" and ".join(fault.name for fault in faults), away, begin, end)


def _ended(node: Node, number: int, word: str) -> Fault:
    async def begin() -> None:
        code = await node.end(number)
        assert code == (0 if number == signal.SIGTERM else -number), "".join(node.log[-20:])

    return Fault(f"{node.name} {word}", (node.name,), begin, node.start)


def _stopped(node: Node) -> Fault:
    steps = _thread(lambda: node.signal(signal.SIGSTOP), lambda: node.signal(signal.SIGCONT))
    return Fault(f"{node.name} stopped", (node.name,), *steps)


def _killed(host: Host) -> Fault:
    return Fault(f"{host.name} killed", (), host.kill, host.start)


def _thread(*steps: Callable[[], object]) -> tuple[Step, ...]:
    """Blocking steps, run beside the clients."""
    return tuple(lambda step=step: asyncio.to_thread(step) for step in steps)
