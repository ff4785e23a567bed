"""sd_notify, the words of a service to systemd: ready, alive, stopping.

Where they go, and how often a sign of life is wanted, stands in the environment.
No I/O here: the caller brings what sends a datagram.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

SendDatagram = Callable[[str, bytes], None]
"""Sends to the unix datagram socket of an address. May raise OSError; must not wait for long."""


class Notifier:
    """Tells whoever started us how we are; silent where nobody asked to be told. ``pid`` is our process id.

    What cannot be delivered is left out: then systemd hears nothing and does what its unit says.
    """

    def __init__(self, environ: Mapping[str, str], pid: int, send: SendDatagram) -> None:
        self._address: Final = _address(environ.get("NOTIFY_SOCKET", ""))
        self._send: Final = send
        self.watchdog: Final = _watchdog(environ, pid) if self._address else None
        """Seconds within which a sign of life is wanted; None when none is."""

    @property
    def heard(self) -> bool:
        """Whether anybody listens."""
        return self._address is not None

    @property
    def pause(self) -> float:
        """Seconds between two signs of life, so that one may be late; an hour when none is wanted."""
        return 3_600.0 if self.watchdog is None else self.watchdog / 3

    def ready(self) -> None:
        """We can be used."""
        self._tell("READY=1")

    def alive(self) -> None:
        """What does our work has just gone round. To be called from there, at least every ``pause`` seconds."""
        if self.watchdog is not None:
            self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={' '.join(text.split())}")

    def stopping(self) -> None:
        """We have begun to stop."""
        self._tell("STOPPING=1")

    def _tell(self, fact: str) -> None:
        if self._address is not None:
            with suppress(OSError):
                self._send(self._address, fact.encode())


def silent() -> Notifier:
    """A notifier that nobody hears."""
    return Notifier({}, 0, lambda address, message: None)


def _address(text: str) -> str | None:
    """A path, or the name of an abstract socket, which begins with a NUL and is written with an ``@``."""
    if text.startswith("/"):
        return text
    return f"\0{text[1:]}" if text.startswith("@") and len(text) > 1 else None


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """WATCHDOG_USEC in seconds, when it is meant for us and not for a process above us."""
    wanted, of = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (wanted.isascii() and wanted.isdigit() and int(wanted)) or (of and of != str(pid)):
        return None
    return int(wanted) / 1_000_000
