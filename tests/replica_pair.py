"""A private primary and its replica on loopback: real MariaDB servers with GTIDs, to be hurt at will."""

import shutil
from pathlib import Path

from tests.servers import MariaDB

_SMALL = (
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--log-slave-updates",
    "--innodb-file-per-table=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--performance-schema=OFF",
    "--slave-net-timeout=2",
)


class Pair:
    """A primary and its replica. ``stop`` ends them; the files stay until the caller removes them."""

    def __init__(self, folder: Path) -> None:
        self.primary = MariaDB(folder / "primary", *_SMALL, "--server-id=1")
        self.replica = MariaDB(folder / "replica", *_SMALL, "--server-id=2", "--read-only=ON")

    def start(self) -> None:
        """Make both. The replica begins with the primary's files, and follows from there."""
        self.primary.install()
        shutil.copytree(self.primary.folder, self.replica.folder)
        for server in (self.primary, self.replica):
            server.start()
        self.primary.run("CREATE USER repl@'127.0.0.1' IDENTIFIED BY 'repl'")
        self.primary.run("GRANT REPLICATION SLAVE ON *.* TO repl@'127.0.0.1'")
        self.replica.run(
            f"CHANGE MASTER TO MASTER_HOST='{self.primary.host}', MASTER_PORT={self.primary.port},"
            " MASTER_USER='repl', MASTER_PASSWORD='repl', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1"
        )
        self.replica.run("START SLAVE")
        self.until_applied()

    def stop(self) -> None:
        """End both."""
        for server in (self.replica, self.primary):
            server.kill()

    def mend(self) -> None:
        """Bring a replica that was hurt back, with all that the primary has."""
        if not self.replica.runs:
            self.replica.start()
        if self.replica.run("SHOW SLAVE STATUS"):
            self.replica.run("START SLAVE")
        self.until_applied()

    def until_applied(self) -> None:
        """Return once the replica has all that the primary has now."""
        ((position,),) = self.primary.run("SELECT @@gtid_binlog_pos")
        assert self.replica.run(f"SELECT MASTER_GTID_WAIT('{position}', 60)") == ((0,),)
