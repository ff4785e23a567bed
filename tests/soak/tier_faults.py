"""What goes wrong where several machines do the work of one: nodes, a primary, its replica, Redis, and an operator."""

import asyncio
import random
import time
from collections.abc import Callable

from central.store.mysql import partitions
from central.store.mysql.connection import Session, connect
from central.store.mysql.retention import MySQLRetention
from central.store.mysql.store import MySQLStore
from tests.central.mysql_help import server_of
from tests.galera import Cluster
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer
from tests.redis_tier import Tier
from tests.replication import Pair
from tests.servers import MariaDB
from tests.soak.fault_servers import Fault, Step
from tests.soak.faults import Table, central_faults, on_thread, one_of, together
from tests.soak.tiers import Several

_DAY = 86_400
_OLDEST = 6
"""Clients send points of this many days, so retention removes older ones."""


def galera_faults(several: Several, cluster: Cluster, dice: random.Random) -> Table:
    """Every fault of the tier by name; what is hit is chosen when it is made."""

    def fault(name: str, begin: str, **how: bool) -> Callable[[], Fault]:
        """``how`` the node joins again, as Cluster.rejoin says."""

        def make() -> Fault:
            node = dice.choice(cluster.mortal)

            def rejoin() -> None:
                cluster.rejoin(node, **how)
                cluster.until_whole()

            return Fault(f"node {name}", ("database",), *on_thread(getattr(node, begin), rejoin))

        return make

    def stopped() -> Fault:
        node = dice.choice(cluster.mortal)
        return Fault("node stopped", ("database",), *on_thread(node.pause, lambda: cluster.go_on(node)))

    def isolated() -> Fault:
        node = dice.choice(cluster.mortal)
        steps = on_thread(lambda: cluster.isolate(node, alone=True), lambda: cluster.isolate(node, alone=False))
        return Fault("node isolated", ("database",), *steps)

    def majority_killed() -> Fault:
        last, *others = dice.sample(cluster.nodes, len(cluster.nodes))

        def kill() -> None:
            for node in others:
                node.kill()

        return Fault("two nodes killed", ("database",), *on_thread(kill, lambda: cluster.revive(last)))

    made = {
        "node killed": fault("killed", "kill"),
        "node emptied": fault("killed, without its files", "kill", empty=True),
        "node emptied, by mariabackup": fault("killed, copied by mariabackup", "kill", empty=True, rsync=False),
        "node restarted": fault("restarted", "stop"),
        "node stopped": stopped,
        "node isolated": isolated,
        "two nodes killed": majority_killed,
    }
    return _with_others(made, several, dice)


def replica_faults(several: Several, pair: Pair, dice: random.Random) -> Table:
    """Every fault of the tier by name. Roles change as docs/high-availability.md says."""

    def change_over() -> None:
        pair.promote()
        pair.follow()

    def lag_and_kill() -> None:
        pair.replica.run("STOP SLAVE IO_THREAD")
        time.sleep(dice.uniform(0, 2))  # meanwhile the primary writes into its binary log what it cannot commit
        pair.primary.kill()

    def back() -> None:
        pair.until_followed()
        pair.until_applied()

    def on(role: str, method: str) -> Callable[[], object]:
        """A function that calls a method of the server that has this role by then."""

        def call() -> None:
            getattr(getattr(pair, role), method)()

        return call

    steps: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "primary killed": (on("primary", "kill"), change_over),
        "primary killed, its replica behind": (lag_and_kill, change_over),
        "primary stopped": (on("primary", "pause"), on("primary", "resume")),
        "roles changed": (pair.hand_over, change_over),
        "replica killed": (on("replica", "kill"), back),
        "replica restarted": (on("replica", "stop"), back),
        "replica stopped": (on("replica", "pause"), on("replica", "resume")),
    }

    def made(name: str) -> Callable[[], Fault]:
        return lambda: Fault(name, ("database",), *on_thread(*steps[name]))

    return _with_others({name: made(name) for name in steps}, several, dice)


def _with_others(database: Table, several: Several, dice: random.Random) -> Table:
    """The faults of a database, the faults of the other parts, and a fault of each at once."""
    upkeep = Upkeep(several)
    redis, central = redis_faults(several.redis), central_faults(several.rig, dice)
    return {
        **database,
        **redis,
        **central,
        "upkeep": lambda: Fault("upkeep and retention by another process", (), upkeep.run, _nothing),
        "database and redis": lambda: together(one_of(database, dice), one_of(redis, dice)),
        "database and central": lambda: together(one_of(database, dice), one_of(central, dice)),
    }


async def _nothing() -> None: ...


class Upkeep:
    """What a process does once per day, done more often: a day's partitions are made, and an old day's removed."""

    def __init__(self, several: Several) -> None:
        self._several = several
        self._ahead = partitions.AHEAD
        self._kept = partitions.BEFORE

    async def run(self) -> None:
        """Through a server that takes writes; of a cluster, one that nobody else writes to."""
        server = server_of(self._several.writer(), self._several.rig.database)
        today = int(time.time() // _DAY)
        store = MySQLStore(server)
        try:
            await store.open()
            connection = await connect(server, Session(lock_seconds=1))
            try:
                self._ahead += self._ahead < partitions.FARTHEST
                await partitions.ensure(connection, today, today + self._ahead)
            finally:
                connection.close()
            self._kept -= self._kept > _OLDEST
            assert isinstance(store.retention, MySQLRetention)
            while await store.retention.drop((today - self._kept) * _DAY) is not None:
                pass
        finally:
            await store.close()


def redis_faults(tier: Tier) -> Table:
    """The primary of Redis goes or stands still, its replica goes, or an operator changes their roles."""

    def fault(name: str, begin: Callable[[], Step], end: Step) -> Callable[[], Fault]:
        return lambda: Fault(name, ("redis",), begin(), end)

    def pair() -> tuple[RedisServer, RedisServer]:
        return tier.primary, tier.replica

    async def settled() -> None:
        for server in pair():
            if server.runs:
                server.go_on()
            else:
                await server.start()
        async with asyncio.timeout(120):
            await tier.settle()

    return {
        "redis primary killed": fault("redis primary killed", lambda: tier.primary.kill, settled),
        "redis primary stopped": fault("redis primary stopped", lambda: on_thread(tier.primary.pause)[0], settled),
        "redis replica killed": fault("redis replica killed", lambda: tier.replica.kill, settled),
        "redis roles changed": fault("redis roles changed", lambda: tier.fail_over, settled),
    }


def redis_cluster_faults(cluster: RedisCluster, mariadb: MariaDB, dice: random.Random) -> Table:
    """A node of a Redis Cluster goes or stands still, or the keys move to another one and back.

    Each comes while the database is away and the spill holds entries. In the end the spill takes entries again before
    the database is back.
    """
    stopped: list[RedisServer] = []

    async def stop(server: RedisServer) -> None:
        await asyncio.to_thread(server.pause)
        stopped.append(server)

    async def kill() -> None:
        await cluster.owner.kill()

    async def move_back() -> None:
        await cluster.move(cluster.others[0], cluster.owner)

    async def heal() -> None:
        while stopped:
            stopped.pop().go_on()
        if not cluster.owner.runs:
            await cluster.owner.start()

    steps: dict[str, tuple[Step, Step]] = {
        "owner killed": (kill, heal),
        "owner stopped": (lambda: stop(cluster.owner), heal),
        "other node stopped": (lambda: stop(dice.choice(cluster.others)), heal),
        "keys moved": (lambda: cluster.move(cluster.owner, cluster.others[0]), move_back),
    }

    def made(name: str) -> Callable[[], Fault]:
        hurt, end = steps[name]

        async def begin() -> None:
            await asyncio.to_thread(mariadb.kill)
            await cluster.until_spilled()
            await hurt()

        async def over() -> None:
            await end()
            async with asyncio.timeout(120):
                await cluster.until_settled()
                await cluster.until_spilled()
            await asyncio.to_thread(mariadb.start)

        return lambda: Fault(f"database killed, {name}", ("database", "redis"), begin, over)

    return {name: made(name) for name in steps}
