"""central/doctor/servers.py: tables of what several database servers say and how it is judged."""

import pytest

from central.doctor import servers
from central.store.inspection import DatabaseServer
from tests.central.doctor.test_judge import statuses

ONE = DatabaseServer("db1:3306")
TWO = DatabaseServer("db2:3306")
READ_ONLY = DatabaseServer("db2:3306", "it is read only (read_only is ON)")
REPLICA = DatabaseServer("db2:3306", "it is read only (read_only is ON)", replica=True, lag=0)
ONE_MORE = {"Rpl_semi_sync_master_clients": "1"}
NODE = DatabaseServer("db1:3306", None, "u", 3)
OTHER = DatabaseServer("db2:3306", None, "u", 3)
AWAY = DatabaseServer("db3:3306", "no answer within 1 s")


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([ONE], ""),
        ([ONE, READ_ONLY], "o"),
        ([ONE, AWAY], "o"),  # a replica that is away: only who manages the replication knows what that means
        ([ONE, TWO], "f"),
        ([NODE], "o"),
        ([NODE, OTHER], "oo"),
        ([NODE, OTHER, AWAY], "wo"),
        ([NODE._replace(nodes=2), OTHER._replace(nodes=2)], "ow"),
        ([NODE, OTHER._replace(cluster="v")], "fo"),
        ([NODE, TWO], "fo"),
    ],
)
def test_servers_by_what_they_say(seen: list[DatabaseServer], verdict: str) -> None:
    assert statuses(servers.database_servers(seen)) == verdict


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([ONE], ""),
        ([ONE, READ_ONLY], ""),
        ([ONE, REPLICA], "o"),
        ([ONE, REPLICA._replace(lag=None)], "o"),  # this user may not see it
        ([ONE, REPLICA._replace(lag=30)], "o"),
        ([ONE, REPLICA._replace(lag=31)], "w"),
        ([ONE, REPLICA._replace(replication_fault="its SQL thread does not run: No")], "w"),
    ],
)
def test_replicas_by_what_they_say(seen: list[DatabaseServer], verdict: str) -> None:
    assert statuses(servers.replicas(seen)) == verdict


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        ([], ""),
        ([REPLICA], "o"),
        ([NODE], "o"),
        ([REPLICA, AWAY._replace(replication_fault="no answer within 1 s")], "w"),
    ],
)
def test_read_servers_by_what_they_say(seen: list[DatabaseServer], verdict: str) -> None:
    assert statuses(servers.read_servers(seen)) == verdict


@pytest.mark.parametrize(
    ("variables", "seen", "verdict"),
    [
        ({}, [ONE], ""),
        ({}, [ONE, REPLICA], "w"),
        ({"rpl_semi_sync_master_enabled": "OFF", "Rpl_semi_sync_master_status": "OFF"}, [ONE], ""),
        ({"rpl_semi_sync_master_enabled": "ON", "Rpl_semi_sync_master_status": "ON", **ONE_MORE}, [ONE], "o"),
        ({"rpl_semi_sync_master_enabled": "ON", "Rpl_semi_sync_master_status": "ON"}, [ONE], "w"),
        ({"rpl_semi_sync_master_enabled": "ON", "Rpl_semi_sync_master_status": "OFF", **ONE_MORE}, [ONE], "w"),
        ({"rpl_semi_sync_source_enabled": "ON", "Rpl_semi_sync_source_status": "OFF"}, [ONE], "w"),
    ],
)
def test_semi_synchronous_replication(variables: dict[str, str], seen: list[DatabaseServer], verdict: str) -> None:
    assert statuses(servers.semi_sync(variables, seen)) == verdict
