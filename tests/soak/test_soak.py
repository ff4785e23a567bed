"""The short soak: every kind of fault once, in a fixed order at seeded moments, on real processes under load."""

from functools import partial
from pathlib import Path

from tests.replication import Pair
from tests.servers import MariaDB, started
from tests.soak.faults import faults_of
from tests.soak.rig import on_duckdb, on_mysql
from tests.soak.soak import short_soak
from tests.soak.tier_faults import redis_cluster_faults, replica_faults
from tests.soak.tiers import on_redis_cluster, on_replica

ON_MYSQL = (
    ("database killed", 0.5),
    ("redis killed", 0.3),
    ("database stopped", 3.0),
    ("redis stopped", 1.2),
    ("central killed", 0.0),
    ("sessions ended", 0.5),
    ("rows locked", 2.5),
    ("both killed", 0.2),
    ("central stopped", 1.0),
    ("both stopped", 2.2),
    ("central restarted", 0.0),
    ("redis full", 0.5),
    ("database stopped", 0.2),
)
ON_REPLICA = (
    ("primary killed, its replica behind", 0.0),
    ("central killed", 0.0),
    ("roles changed", 0.0),
    ("redis primary killed", 0.0),
    ("replica restarted", 0.5),
)
ON_REDIS_CLUSTER = (("owner killed", 3.0), ("keys moved", 0.5), ("owner stopped", 3.0), ("other node stopped", 2.0))
ON_DUCKDB = (("central killed", 0.0), ("agent killed", 0.0), ("central stopped", 0.5), ("central killed", 0.3)) * 2


async def test_on_mysql_and_redis_what_was_acknowledged_is_stored_once(
    tmp_path: Path, mariadb: MariaDB, database: str
) -> None:
    async with on_mysql(tmp_path, mariadb, database) as rig:
        verdict = await short_soak(rig, partial(faults_of, rig), ON_MYSQL)
    assert verdict.faults + verdict.refused == []
    assert verdict.spilled > 0, "the spill was never used: this proved little"


async def test_on_the_embedded_store_what_was_acknowledged_is_stored_once(tmp_path: Path) -> None:
    async with on_duckdb(tmp_path) as rig:
        verdict = await short_soak(rig, partial(faults_of, rig), ON_DUCKDB)
    assert verdict.faults + verdict.refused == []
    assert verdict.samples > 0


async def test_on_a_primary_and_its_replica_what_was_acknowledged_is_on_both(tmp_path: Path) -> None:
    """The short form of ``make cluster``. That of its other tier is in tests/central/store/mysql/test_galera.py."""
    with started(Pair(tmp_path / "pair")) as servers:
        servers.primary.run("CREATE DATABASE soak")
        async with on_replica(tmp_path, servers, "soak") as several:
            verdict = await short_soak(several.rig, partial(replica_faults, several, servers), ON_REPLICA)
    assert verdict.faults + verdict.refused == []
    assert verdict.spilled > 0, "the spill was never used: this proved little"


async def test_on_a_redis_cluster_what_was_acknowledged_is_stored_once(
    tmp_path: Path, mariadb: MariaDB, database: str
) -> None:
    """The database is away in each fault, so all that is acknowledged meanwhile is in the cluster and nowhere else."""
    async with on_redis_cluster(tmp_path, mariadb, database) as (rig, cluster):
        verdict = await short_soak(rig, partial(redis_cluster_faults, cluster, mariadb), ON_REDIS_CLUSTER)
    assert verdict.faults + verdict.refused == []
    assert verdict.spilled > 0, "the spill was never used: this proved little"
