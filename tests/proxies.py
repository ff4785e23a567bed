"""The proxies of deploy/ in the programs they are for, with ports, names and folders of the test."""

import contextlib
import os
import shutil
import signal
import socket
import ssl
import subprocess
from pathlib import Path

from tests.ports import free_port
from tests.servers import program

ROOT = Path(__file__).parents[1]
TLS = ROOT / "tests" / "data" / "tls"


class Nginx:
    """nginx with our file on a free port. ``start`` returns when it listens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"

    def fit(self, upstreams: list[str]) -> None:
        """Write the file, with what is the container's replaced by what is the test's."""
        table = {
            # Its own folder first: the others' new paths may lie below /tmp as well.
            "/tmp/": f"{self.folder}/",
            "/etc/nginx/tls": str(TLS),
            "listen 8443": f"listen 127.0.0.1:{self.port}",
            "/dev/stderr": f"{self.folder}/error.log",
            "/dev/stdout": f"{self.folder}/access.log",
            "central1:8080": upstreams[0],
            "central2:8080": upstreams[1],
        }
        _fit("nginx.conf", self.folder, table)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The program with our file and these arguments."""
        command = [program("nginx"), "-e", str(self.folder / "error.log"), "-c", str(self.folder / "nginx.conf")]
        return subprocess.run([*command, *arguments], check=False, capture_output=True, text=True)

    def start(self, upstreams: list[str]) -> None:
        """Start before these two addresses."""
        self.fit(upstreams)
        done = self.run()  # it goes into the background once its sockets are open
        assert done.returncode == 0, done.stderr

    def stop(self) -> None:
        """End it, if it runs."""
        with contextlib.suppress(FileNotFoundError):
            os.kill(int((self.folder / "nginx.pid").read_text()), signal.SIGTERM)


class HAProxy:
    """HAProxy with our file on a free port. ``start`` returns when it listens."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self.url = f"https://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def fit(self, upstreams: list[str]) -> None:
        """Write the file, with what is the host's replaced by what is the test's."""
        shutil.copy(TLS / "cert.pem", self.folder / "cert.pem")
        shutil.copy(TLS / "key.pem", self.folder / "cert.pem.key")
        table = {
            "/etc/haproxy/tls": str(self.folder),
            "bind :8443": f"bind 127.0.0.1:{self.port}",
            "central1:8080": upstreams[0],
            "central2:8080": upstreams[1],
        }
        _fit("haproxy.cfg", self.folder, table)

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The program with our file and these arguments."""
        command = [program("haproxy"), "-f", str(self.folder / "haproxy.cfg"), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True)

    def start(self, upstreams: list[str]) -> None:
        """Start before these two addresses."""
        self.fit(upstreams)
        with (self.folder / "log").open("wb") as log:
            command = [program("haproxy"), "-db", "-f", str(self.folder / "haproxy.cfg")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        while True:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return

    def stop(self) -> None:
        """End it, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()


def trusting() -> ssl.SSLContext:
    """A client that knows the test's certificate."""
    return ssl.create_default_context(cafile=TLS / "cert.pem")


def _fit(name: str, folder: Path, table: dict[str, str]) -> None:
    text = (ROOT / "deploy" / name).read_text()
    for theirs, ours in table.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    (folder / name).write_text(text)
