"""systemd's unit files as it reads them, as far as our tests need: keys that repeat, specifiers, sockets."""

import re
import socket
from pathlib import Path
from typing import NamedTuple

UNITS = Path(__file__).parents[1] / "systemd"


class Unit(NamedTuple):
    """The assignments of a unit file in order, each (section, key, value)."""

    path: Path
    lines: list[tuple[str, str, str]]

    def all(self, key: str) -> list[str]:
        """Every value of a key."""
        return [value for _, known, value in self.lines if known == key]

    def one(self, key: str) -> str:
        """The value of a key that is there once."""
        (value,) = self.all(key)
        return value

    def environment(self, specifiers: dict[str, str]) -> dict[str, str]:
        """What Environment= says, with specifiers such as ``%d`` filled in."""
        given = dict(line.split("=", 1) for line in self.all("Environment"))
        return {name: re.sub(r"%.", lambda found: specifiers[found[0]], value) for name, value in given.items()}


def read_unit(name: str) -> Unit:
    """One of our units."""
    path = UNITS / name
    section, lines = "", []
    for line in path.read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            lines.append((section, key, value))
    return Unit(path, lines)


def listen(unit: Unit, folder: Path) -> dict[str, socket.socket]:
    """The sockets of a socket unit by their line, bound as systemd would; ports are free ones, paths in ``folder``."""
    found = {}
    for key, kind in (("ListenDatagram", socket.SOCK_DGRAM), ("ListenStream", socket.SOCK_STREAM)):
        for address in unit.all(key):
            if address.startswith("/"):
                sock = socket.socket(socket.AF_UNIX, kind)
                sock.bind(str(folder / Path(address).name))
            else:
                sock = socket.socket(socket.AF_INET, kind)
                sock.bind((address.partition(":")[0], 0))
            if kind == socket.SOCK_STREAM:
                sock.listen()
            found[f"{key}={address}"] = sock
    return found
