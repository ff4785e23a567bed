"""A private Galera cluster on loopback: real MariaDB nodes that replicate to each other, to be hurt at will."""

import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.doc_pages import blocks
from tests.ports import free_port
from tests.replication import PAGE
from tests.servers import MariaDB

PROVIDER = Path("/usr/lib/galera/libgalera_smm.so")
_SMALL = (
    "--skip-log-bin",
    "--innodb-file-per-table=0",
    "--innodb-log-file-size=16M",
    "--performance-schema=OFF",
    "--binlog-format=ROW",
    "--innodb-autoinc-lock-mode=2",
)
_QUICK = (
    "evs.keepalive_period=PT0.2S;evs.inactive_check_period=PT0.1S;evs.suspect_timeout=PT1S;evs.inactive_timeout=PT2S"
)
_IN_FILE = "\n[mariadb]\ninnodb_buffer_pool_size = 32M\n"
"""The program that copies for mariabackup would be given it as an option, and does not know it."""
_RSYNC = "--wsrep-sst-method=rsync"
_SECONDS = 120.0
_ATTEMPTS = 3
_STATE = "wsrep_local_state_comment"
_STATUS = "SHOW GLOBAL STATUS LIKE 'wsrep_cluster_status'"
_BOOTSTRAP = "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'"
_VIEW = f"SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_cluster_conf_id', 'wsrep_cluster_size', '{_STATE}')"


class Cluster:
    """Nodes of one cluster, all running. ``stop`` ends them; the files stay until the caller removes them."""

    def __init__(self, folder: Path, size: int, *, quick: bool = True) -> None:
        """With ``quick`` a node that does not answer is out after two seconds, and not after Galera's own times.

        Nodes copy each other's files as docs/high-availability.md says, or by rsync.
        """
        assert PROVIDER.exists(), f"{PROVIDER} not found: run make test, or apt-get install --yes galera-4"
        self._ports = [free_port() for _ in range(size)]
        self._times = _QUICK if quick else ""
        self._settings = folder / "galera.cnf"
        self.nodes = [
            MariaDB(folder / f"node{number}", *self._options(number), defaults=self._settings) for number in range(size)
        ]

    @property
    def mortal(self) -> list[MariaDB]:
        """Those without any one of which the others go on."""
        return self.nodes if len(self.nodes) > 2 else self.nodes[:1]

    def start(self) -> None:
        """Make the first node and start all. The others copy the first one's files when they join."""
        first, *others = self.nodes
        first.folder.parent.mkdir(parents=True, exist_ok=True)
        text = list(blocks(PAGE))
        (settings,) = [block.text for block in text if "wsrep_sst_auth" in block.text]
        (user,) = [block.text for block in text if "'sst'@" in block.text]
        self._settings.write_text(settings + _IN_FILE)
        first.install()
        first.start("--wsrep-new-cluster")
        for statement in filter(str.strip, user.split(";")):
            first.run(statement)
        for node in others:
            node.folder.mkdir()
            self._let_rsync_write(node)
            node.start(_RSYNC)
        self.until_whole()

    def rejoin(self, node: MariaDB, *, empty: bool = False, rsync: bool = True) -> None:
        """Start a node that was ended, and again if it ends. It says where it stood and gets what it missed (IST).

        With ``empty`` its files are gone, and it gets those of another node (SST), by rsync or by mariabackup.
        """
        for attempt in range(_ATTEMPTS):
            if empty:
                shutil.rmtree(node.folder)
                node.folder.mkdir()
            self._let_rsync_write(node)
            try:
                node.start(*([] if empty else [self._position(node)]), *([_RSYNC] if rsync else []))
                break
            except AssertionError:  # a node ends if the other one could not give it what it missed
                if attempt == _ATTEMPTS - 1:
                    raise
                node.kill()
                self._go_on_without_a_primary()
        self.until_status(node, _STATE, "Synced")

    @staticmethod
    def _position(node: MariaDB) -> str:
        found = re.search(r"Recovered position: (\S+)", node.log_of("--wsrep-recover"))
        assert found is not None
        return f"--wsrep-start-position={found[1]}"

    def until_whole(self) -> None:
        """Return once all nodes have been synced members of one view for a second."""
        since = end = time.monotonic()
        while time.monotonic() < since + 1:
            if time.monotonic() > end + _SECONDS / 2:
                self._go_on_without_a_primary()
            views = {node.run(_VIEW) for node in self.nodes}
            state = dict(views.pop())
            if views or state["wsrep_cluster_size"] != str(len(self.nodes)) or state[_STATE] != "Synced":
                since = time.monotonic()
            assert since < end + _SECONDS, f"not whole after {_SECONDS:g} s: {state}, {views}"
            time.sleep(0.05)

    def _go_on_without_a_primary(self) -> None:
        """If no node takes writes, let those that run go on, as the page says: busy ones may have lost each other."""
        running = [node for node in self.nodes if node.runs]
        status = {node.run(_STATUS)[0][1] for node in running}
        if "Primary" not in status and running:
            running[0].run(_BOOTSTRAP)

    def go_on(self, node: MariaDB) -> None:
        """Let a node that stood still go on. It may have to join again."""
        node.resume()
        self.until_whole()

    def isolate(self, node: MariaDB, *, alone: bool) -> None:
        """Cut the node's lines to the others, or connect them again. Clients still reach it."""
        node.run(f"SET GLOBAL wsrep_provider_options = 'gmcast.isolate={int(alone)}'")
        if not alone:
            self.until_whole()

    def revive(self, last: MariaDB) -> None:
        """All but this node were killed, so it takes no writes. It goes on alone, and the others join again."""
        self.until_status(last, "wsrep_cluster_status", "non-Primary")
        last.run(_BOOTSTRAP)
        self.until_status(last, "wsrep_cluster_status", "Primary")
        for node in self.nodes:
            if not node.runs:
                self.rejoin(node)
        self.until_whole()

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
        end = time.monotonic() + _SECONDS
        while node.run(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1] != wanted:
            assert time.monotonic() < end, f"{name} is not {wanted}: {''.join(node.log[-30:])}"
            time.sleep(0.02)

    @staticmethod
    def _let_rsync_write(node: MariaDB) -> None:
        """If root runs the tests, rsync writes there as nobody."""
        if os.getuid() == 0:
            shutil.chown(node.folder, "nobody")

    def _options(self, number: int) -> tuple[str, ...]:
        address = f"127.0.0.1:{self._ports[number]}"
        members = ",".join(f"127.0.0.1:{port}" for port in self._ports)
        # Of two, the second goes on when the other one is killed. Of three, any two go on.
        weight = 2 if (number, len(self._ports)) == (1, 2) else 1
        return (
            *_SMALL,
            "--wsrep-on=ON",
            f"--wsrep-provider={PROVIDER}",
            f"--wsrep-cluster-address=gcomm://{members}",
            "--wsrep-node-address=127.0.0.1",
            f"--wsrep-node-name=node{number}",
            f"--wsrep-provider-options=gmcast.listen_addr=tcp://{address};ist.recv_addr=127.0.0.1:{free_port()};"
            f"pc.weight={weight};gcache.size=16M;{self._times}",
            f"--wsrep-sst-receive-address=127.0.0.1:{free_port()}",
            "--wsrep-slave-threads=2",
            "--innodb-flush-log-at-trx-commit=2",
        )


@contextmanager
def cluster(folder: Path, size: int = 2, *, quick: bool = True) -> Iterator[Cluster]:
    """A cluster that runs inside the block."""
    made = Cluster(folder, size, quick=quick)
    try:
        made.start()
        yield made
    finally:
        made.stop()
