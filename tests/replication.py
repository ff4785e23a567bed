"""A primary and its semi-synchronous replica on loopback. They change roles as docs/high-availability.md says."""

import time
from collections.abc import Callable
from pathlib import Path

from pymysql.cursors import DictCursor

from tests.doc_pages import blocks
from tests.servers import MariaDB

PAGE = "docs/high-availability.md"
_SMALL = ("--innodb-file-per-table=0", "--innodb-buffer-pool-size=32M", "--performance-schema=OFF")
_SECONDS = 120.0


class Pair:
    """Two servers with the page's settings. Both start read only; ``start`` makes the first one the primary."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        settings = [block.text for block in blocks(PAGE) if block.language == "ini"]
        self._promote, self._follow, *_ = [block.text for block in blocks(PAGE) if block.language == "sql"]
        self._settings = folder / "replication.cnf"
        self._text, *_ = settings
        self.servers = [
            MariaDB(folder / f"server{number}", f"--server-id={number}", *_SMALL, defaults=self._settings)
            for number in (1, 2)
        ]
        self.primary, self.replica = self.servers

    def start(self) -> None:
        """Start both; the second one follows the first."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._settings.write_text(self._text)
        for server in self.servers:
            server.install()
            server.start()
        _run(self.primary, self._promote)
        self.primary.run("CREATE USER replication IDENTIFIED BY '...'")
        self.primary.run("GRANT REPLICATION SLAVE ON *.* TO replication")
        self.follow()

    def promote(self) -> None:
        """Make the replica the primary. The other one is gone, or takes no more writes."""
        self.replica.run("STOP SLAVE IO_THREAD")
        with self.replica.connect() as connection, connection.cursor(DictCursor) as cursor:
            cursor.execute("SHOW SLAVE STATUS")
            received = cursor.fetchall()[0]["Gtid_IO_Pos"]
        assert self.replica.run(f"SELECT MASTER_GTID_WAIT('{received}', {_SECONDS})") == ((0,),)
        _run(self.replica, self._promote)
        self.primary, self.replica = self.replica, self.primary

    def follow(self) -> None:
        """Let the server that is not the primary follow it, and let commits wait for it from now on."""
        if not self.replica.runs:
            self.replica.start("--skip-slave-start")
        _run(self.replica, self._follow.replace("'db2'", f"'{self.primary.host}', MASTER_PORT = {self.primary.port}"))
        self.primary.run("SET GLOBAL rpl_semi_sync_master_enabled = ON")
        self.until_followed()
        self.until_applied()

    def hand_over(self) -> None:
        """Let the primary take no more writes, and the replica get all that it has."""
        self.primary.run("SET GLOBAL read_only = ON")
        self.until_applied()

    def until_followed(self) -> None:
        """Return once the replica, started if need be, follows the primary."""
        if not self.replica.runs:
            self.replica.start()
        _until(lambda: ("Rpl_semi_sync_master_clients", "1") in self.primary.run("SHOW STATUS LIKE 'rpl_semi%'"))

    def until_applied(self) -> None:
        """Return once the replica has what the primary has."""
        ((position,),) = self.primary.run("SELECT @@gtid_binlog_pos")
        assert self.replica.run(f"SELECT MASTER_GTID_WAIT('{position}', {_SECONDS})") == ((0,),)

    def stop(self) -> None:
        """End both."""
        for server in self.servers:
            server.kill()


def _run(server: MariaDB, text: str) -> None:
    for statement in text.split(";"):
        if statement.strip():
            server.run(statement)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not holds():
        assert time.monotonic() < end, f"not so within {_SECONDS:g} s"
        time.sleep(0.02)
