"""What goes wrong in a soak: a table of faults, each with its beginning and its end."""

import asyncio
import random
import signal
from collections.abc import Callable

from tests.soak.fault_servers import Fault, Step, redis_faults, sql_faults
from tests.soak.rig import Host, Node, Rig

PROXY = "proxy"
"""What stands for the proxy among the processes that clients ask."""
Table = dict[str, Callable[[], Fault]]
"""What makes each fault, by name."""


def faults_of(rig: Rig, dice: random.Random) -> Table:
    """Every fault that this rig can have, by name; what is hit is chosen when it is made."""
    central = central_faults(rig, dice)
    made = {**central, "agent killed": lambda: _killed(dice.choice(rig.hosts))}
    if not rig.servers:
        return made
    (mariadb,), (spill,) = rig.servers, rig.redis
    database = [
        Fault("database killed", ("database",), *on_thread(mariadb.kill, mariadb.start)),
        Fault("database stopped", ("database",), *on_thread(mariadb.pause, mariadb.resume)),
        *sql_faults(mariadb, rig.database),
    ]
    redis = [
        Fault("redis killed", ("redis",), spill.kill, spill.start),
        Fault("redis stopped", ("redis",), *on_thread(spill.pause, spill.go_on)),
        *redis_faults(spill),
    ]
    for fault in (*database, *redis):
        made[fault.name] = lambda fault=fault: fault  # type: ignore[misc]
    made["both killed"] = lambda: together(database[0], redis[0])
    made["both stopped"] = lambda: together(database[1], redis[1])
    made["database and redis"] = lambda: together(dice.choice(database), dice.choice(redis))
    made["database and central"] = lambda: together(dice.choice(database), one_of(central, dice))
    made["redis and central"] = lambda: together(dice.choice(redis), one_of(central, dice))
    return made


def central_faults(rig: Rig, dice: random.Random) -> Table:
    """Faults of the service's processes. A request through the proxy may be at the process that is hit."""

    def away(node: Node) -> tuple[str, ...]:
        return (node.name, PROXY) if rig.proxy else (node.name,)

    def ended(number: int, word: str) -> Fault:
        node = dice.choice(rig.nodes)

        async def begin() -> None:
            code = await node.end(number)
            assert code == (0 if number == signal.SIGTERM else -number), "".join(node.log[-20:])

        return Fault(f"{node.name} {word}", away(node), begin, node.start)

    def stopped() -> Fault:
        """Stop a process, perhaps within a transaction. Its locked rows keep the database away from the others."""
        node = dice.choice(rig.nodes)
        steps = on_thread(lambda: node.signal(signal.SIGSTOP), lambda: node.signal(signal.SIGCONT))
        return Fault(f"{node.name} stopped", (*away(node), "database"), *steps)

    return {
        "central killed": lambda: ended(signal.SIGKILL, "killed"),
        "central restarted": lambda: ended(signal.SIGTERM, "restarted"),
        "central stopped": stopped,
    }


def one_of(table: Table, dice: random.Random) -> Fault:
    """A random fault of a table. It chooses among the sorted names, so that a seed always gives the same faults."""
    return table[dice.choice(sorted(table))]()


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


def _killed(host: Host) -> Fault:
    return Fault(f"{host.name} killed", (), host.kill, host.start)


def on_thread(*steps: Callable[[], object]) -> tuple[Step, ...]:
    """A fault whose steps block. It runs them in a thread, beside the clients."""
    return tuple(lambda step=step: asyncio.to_thread(step) for step in steps)
