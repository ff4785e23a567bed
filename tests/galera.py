"""A private Galera cluster on loopback: real MariaDB nodes that replicate to each other, to be hurt at will."""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.ports import free_port
from tests.servers import MariaDB

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
_SMALL = (
    "--innodb-file-per-table=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--performance-schema=OFF",
    "--binlog-format=ROW",
    "--innodb-autoinc-lock-mode=2",
)
_QUICK = (
    "evs.keepalive_period=PT0.2S;evs.inactive_check_period=PT0.1S;evs.suspect_timeout=PT1S;"
    "evs.inactive_timeout=PT2S;gcache.size=16M"
)
"""A node that does not answer is out after two seconds."""


class Cluster:
    """Nodes of one cluster, all running. ``stop`` ends them; the files stay until the caller removes them."""

    def __init__(self, folder: Path, size: int) -> None:
        assert PROVIDER.exists(), f"{PROVIDER} not found: run make test, or apt-get install --yes galera-4"
        self._ports = [free_port() for _ in range(size)]
        self.nodes = [MariaDB(folder / f"node{number}", *self._options(number)) for number in range(size)]

    def start(self) -> None:
        """Make the first node and start all. The others copy the first one's files when they join."""
        first, *others = self.nodes
        first.folder.parent.mkdir(parents=True, exist_ok=True)
        first.install()
        first.start("--wsrep-new-cluster")
        for node in others:
            node.folder.mkdir()
            self._let_rsync_write(node)
            node.start()
        for node in self.nodes:
            self.until_status(node, "wsrep_local_state_comment", "Synced")
            self.until_status(node, "wsrep_cluster_size", str(len(self.nodes)))

    def rejoin(self, node: MariaDB) -> None:
        """Start a node that was killed. It says where it stood, as its unit does, and gets what it missed."""
        found = re.search(r"Recovered position: (\S+)", node.log_of("--wsrep-recover"))
        assert found is not None
        self._let_rsync_write(node)
        node.start(f"--wsrep-start-position={found[1]}")
        self.until_status(node, "wsrep_local_state_comment", "Synced")

    def stop(self) -> None:
        """End all nodes."""
        for node in reversed(self.nodes):
            node.kill()

    @staticmethod
    def until_applied(node: MariaDB) -> None:
        """Return once the node has applied all that the cluster had committed."""
        with node.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SET SESSION wsrep_sync_wait = 1")
            cursor.execute("SELECT COUNT(*) FROM mysql.proc")

    @staticmethod
    def until_status(node: MariaDB, name: str, wanted: str) -> None:
        """Return once the node's status variable has this value."""
        while node.run(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1] != wanted:
            pass

    @staticmethod
    def _let_rsync_write(node: MariaDB) -> None:
        """If root runs the tests, rsync writes there as nobody."""
        if os.getuid() == 0:
            shutil.chown(node.folder, "nobody")

    def _options(self, number: int) -> tuple[str, ...]:
        address = f"127.0.0.1:{self._ports[number]}"
        members = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        weight = 2 if number == 1 else 1  # so that this node goes on when the other of two is killed
        return (
            *_SMALL,
            "--wsrep-on=ON",
            f"--wsrep-provider={PROVIDER}",
            f"--wsrep-cluster-address=gcomm://{members}",
            "--wsrep-node-address=127.0.0.1",
            f"--wsrep-node-name=node{number}",
            f"--wsrep-provider-options=gmcast.listen_addr=tcp://{address};ist.recv_addr=127.0.0.1:{free_port()};"
            f"pc.weight={weight};{_QUICK}",
            "--wsrep-sst-method=rsync",
            f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}",
            "--wsrep-slave-threads=2",
            "--innodb-flush-log-at-trx-commit=2",
        )


@contextmanager
def cluster(folder: Path, size: int = 2) -> Iterator[Cluster]:
    """A cluster that runs inside the block."""
    made = Cluster(folder, size)
    try:
        made.start()
        yield made
    finally:
        made.stop()
