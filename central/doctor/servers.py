"""Judges several database servers: which take writes, how large the cluster is, and how they replicate."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from central.doctor.judge import LAG_SECONDS, Finding, fails, ok, warning
from central.store.inspection import DatabaseServer
from central.store.mysql.replication import semi_sync_of

ENOUGH_NODES: Final = 3
_DOCS: Final = "docs/high-availability.md"
_READS: Final = f"{_DOCS}#servers-for-queries"


def database_servers(servers: Sequence[DatabaseServer]) -> Iterator[Finding]:
    """The servers of DB_HOSTS, or the one of DB_HOST if it is a node of a cluster."""
    check = "database servers"
    writers = [server for server in servers if server.fault is None]
    clusters = {server.cluster for server in writers}
    away = [f"{server.address}: {server.fault}" for server in servers if server.fault is not None]
    if len(writers) > 1 and (len(clusters) > 1 or "" in clusters):
        listed = ", ".join(server.address for server in writers)
        yield fails(
            check, f"{listed} take writes and are no nodes of one cluster", "make all but one read only, at once"
        )
    elif len(servers) > 1 and clusters != {""} and away:
        yield warning(check, "; ".join(away), f"bring these nodes back: {_DOCS}")
    elif len(servers) > 1:
        yield ok(check, f"{writers[0].address if writers else 'none'} is used; {len(servers)} are listed")
    if any(clusters):
        yield _nodes(max(server.nodes for server in writers))


def _nodes(nodes: int) -> Finding:
    check = "cluster nodes"
    if nodes < ENOUGH_NODES:
        return warning(check, f"{nodes}: the cluster may stop if one fails", f"run {ENOUGH_NODES} or more: {_DOCS}")
    return ok(check, str(nodes))


def replicas(servers: Sequence[DatabaseServer]) -> Iterator[Finding]:
    """Whether the replicas among the servers of DB_HOSTS copy all, and how far they are behind."""
    found = [server for server in servers if server.replica]
    faults = [f"{one.address}: {one.replication_fault}" for one in found if one.replication_fault is not None]
    late = [f"{one.address} is {one.lag} s behind" for one in found if (one.lag or 0) > LAG_SECONDS]
    if faults or late:
        advice = f"repair the replica: if the primary fails now, what it lacks is lost: {_DOCS}"
        yield warning("replication", "; ".join((*faults, *late)), advice)
    elif found:
        yield ok("replication", "; ".join(f"{one.address} {_lag(one)}" for one in found))


def read_servers(servers: Sequence[DatabaseServer]) -> Iterator[Finding]:
    """Whether the servers of DB_READ_HOSTS get queries."""
    faults = [f"{one.address}: {one.replication_fault}" for one in servers if one.replication_fault is not None]
    if faults:
        yield warning("read servers", "; ".join(faults), f"until then the primary answers its queries: {_READS}")
    elif servers:
        yield ok("read servers", "; ".join(f"{one.address} {_lag(one)}" for one in servers))


def _lag(server: DatabaseServer) -> str:
    if not server.replica:
        return "answers"
    return f"is {server.lag} s behind" if server.lag is not None else "copies; this user may not see how far it is"


def semi_sync(variables: Mapping[str, str], servers: Sequence[DatabaseServer]) -> Iterator[Finding]:
    """Whether a commit waits for a replica, if the server is set so, or if DB_HOSTS has a replica."""
    check = "semi-synchronous replication"
    found = semi_sync_of(variables)
    if found.lost:
        advice = "start the replica, or raise the timeout of semi-synchronous replication"
        yield warning(check, "it has fallen back: commits wait for no replica", advice)
    elif found.enabled:
        yield ok(check, f"commits wait for a replica; replicas that confirm: {found.replicas}")
    elif any(server.replica for server in servers):
        message = "it is off: if the primary fails, acknowledged points that the replica lacks are lost"
        yield warning(check, message, f"turn it on: {_DOCS}")
