"""Judges several database servers: which take writes, how large the cluster is, and semi-synchronous replication."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from central.doctor.judge import Finding, fails, ok, warning
from central.store.inspection import DatabaseServer

ENOUGH_NODES: Final = 3
_DOCS: Final = "docs/high-availability.md"


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


def semi_sync(variables: Mapping[str, str]) -> Iterator[Finding]:
    """Whether a commit waits for a replica, if the server was told so."""
    told = {name.lower(): value.upper() for name, value in variables.items()}
    for word in ("master", "source"):
        if told.get(f"rpl_semi_sync_{word}_enabled") not in ("ON", "1"):
            continue
        if told.get(f"rpl_semi_sync_{word}_status") != "ON":
            advice = "start the replica, or raise the timeout of semi-synchronous replication"
            yield warning("semi-synchronous replication", "it has fallen back: commits wait for no replica", advice)
        else:
            yield ok("semi-synchronous replication", "commits wait for a replica")
