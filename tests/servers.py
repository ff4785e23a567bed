"""A private MariaDB from the system's package: own folder, free port, loopback, durable, to be hurt at will."""

import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pymysql

from tests.patience import PATIENCE
from tests.ports import free_port

_READY = re.compile(r"ready for connections")


class _Startable(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


T = TypeVar("T", bound=_Startable)


@contextmanager
def started(made: T) -> Iterator[T]:
    """What was made runs inside the block."""
    try:
        made.start()
        yield made
    finally:
        made.stop()


class MariaDB:
    """One server over ``folder``. Owns its process; the files stay until the caller removes them."""

    user = "root"
    host = "127.0.0.1"

    def __init__(self, folder: Path, *options: str, defaults: Path | None = None) -> None:
        """``defaults`` is a file of settings that the server reads before ``options``. Without one it keeps no log."""
        self.folder = folder
        self.port = free_port()
        self.log: list[str] = []
        self._defaults = [f"--defaults-file={defaults}"] if defaults else ["--no-defaults"]
        self._options = options if defaults else ("--skip-log-bin", *options)
        self._process: subprocess.Popen[str] | None = None

    def install(self) -> None:
        """Make the system tables. Root may log in over loopback without a password, and nobody else at all."""
        done = subprocess.run(
            [
                program("mariadb-install-db"),
                "--no-defaults",
                f"--datadir={self.folder}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--force",  # even where the machine does not know its own name
                *_as_root(),
            ],
            check=False,
            capture_output=True,
            text=True,
            env=self._own_tmp(),
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *more: str) -> None:
        """Start, or start again over the same files and port; returns once it takes connections. ``more`` options."""
        assert self._process is None, "it runs already"
        process = subprocess.Popen(
            self._command(*more), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=self._own_tmp()
        )
        self._process = process
        before, ready = len(self.log), threading.Event()
        threading.Thread(target=self._read_log, args=(process, ready), daemon=True).start()
        end = time.monotonic() + PATIENCE
        while not ready.wait(0.1) and process.poll() is None:  # its children may keep its log open when it has ended
            assert time.monotonic() < end, f"the server did not start: {''.join(self.log[-30:])}"
        assert any(_READY.search(line) for line in self.log[before:]), "".join(self.log[-30:])

    def log_of(self, *more: str) -> str:
        """What the program logs when it is run with these ``more`` options and ends by itself."""
        done = subprocess.run(self._command(*more), check=False, capture_output=True, text=True, env=self._own_tmp())
        return done.stderr

    def _command(self, *more: str) -> list[str]:
        return [
            program("mariadbd"),
            *self._defaults,
            f"--datadir={self.folder}",
            f"--port={self.port}",
            f"--bind-address={self.host}",
            "--socket=server.sock",
            "--pid-file=server.pid",
            "--innodb-flush-log-at-trx-commit=1",
            "--skip-name-resolve",
            *_as_root(),
            *self._options,
            *more,
        ]

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def stop(self) -> None:
        """An orderly end."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP, until each of its threads stands: it holds its connections and answers nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        while not all(_stands(thread) for thread in Path(f"/proc/{self.pid}/task").iterdir()):
            pass

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Paused inside the block, whatever happens there."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def connect(self, database: str | None = None, **options: Any) -> "pymysql.Connection[Any]":
        """A plain blocking connection for a test that looks or disturbs from outside."""
        return pymysql.connect(
            host=self.host, port=self.port, user=self.user, database=database, autocommit=True, **options
        )

    def run(self, sql: str, database: str | None = None) -> tuple[tuple[Any, ...], ...]:
        """One statement on a connection of its own; its rows."""
        with self.connect(database) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return tuple(cursor.fetchall())

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """A new database, dropped afterwards. The server runs again when the block ends, whatever was done to it."""
        self.run(f"CREATE DATABASE `{name}`")
        try:
            yield name
        finally:
            if not self.runs:
                self.start()
            self.run(f"DROP DATABASE `{name}`")

    def _own_tmp(self) -> dict[str, str]:
        """In a folder for temporary tables that all servers share one may take away another's."""
        return {**os.environ, "TMPDIR": str(self.folder.parent)}

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        process.wait()

    def _read_log(self, process: "subprocess.Popen[str]", ready: threading.Event) -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            for line in lines:
                self.log.append(line)
                if _READY.search(line):
                    ready.set()
        ready.set()  # it ended


def program(name: str) -> str:
    """The path of a program of the system. Fails, and says what to do, where it is missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")  # not in the path of a plain user
    assert found, f"{name} not found: run make test, or apt-get install --yes mariadb-server"
    return found


def _stands(thread: Path) -> bool:
    """Whether a thread is stopped: the kernel stops them one after the other, and one may still end what it does."""
    return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"


def _as_root() -> list[str]:
    """mariadbd refuses root unless an option allows it; its own user could not read a folder of ours."""
    return ["--user=root"] if os.getuid() == 0 else []
