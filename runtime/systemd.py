"""What a service says to systemd, and what systemd says to it.

The messages ready, reloading, alive and stopping are those of sd_notify(3). The environment says where they go and how
often systemd expects a sign of life. The journal takes a line's level from a mark at its start and removes the mark, so
that `journalctl -p warning` shows warnings: see sd-daemon(3), and JOURNAL_STREAM in systemd.exec(5).
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final, TextIO

SEND_SECONDS: Final = 0.1
"""The longest wait for systemd to take a message. It usually takes it at once."""
_PRIORITIES: Final = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}

SendDatagram = Callable[[str, bytes], None]
"""Sends to the unix datagram socket of an address. May raise OSError; must not wait for long."""


class Notifier:
    """Reports this process's state to systemd. It does nothing if systemd did not ask. ``pid`` is our process id.

    A message that cannot be delivered is dropped; systemd then acts as the unit says.
    """

    def __init__(self, environ: Mapping[str, str], pid: int, send: SendDatagram) -> None:
        self._address: Final = _address(environ.get("NOTIFY_SOCKET", ""))
        self._send: Final = send
        self.watchdog: Final = _watchdog(environ, pid) if self._address else None
        """Seconds within which systemd expects a sign of life. None when it expects none."""

    @property
    def active(self) -> bool:
        """Whether systemd asked for messages."""
        return self._address is not None

    @property
    def pause(self) -> float:
        """Seconds between two signs of life. Short enough that one may be late; an hour when systemd expects none."""
        return 3_600.0 if self.watchdog is None else self.watchdog / 3

    def ready(self) -> None:
        """Report that this process is ready."""
        self._report("READY=1")

    def reloading(self) -> None:
        """Report that the settings are read again. Call ``ready`` when that has ended, well or not."""
        self._report(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def alive(self) -> None:
        """Send a sign of life. Call it from the loop that does the work, at least every ``pause`` seconds."""
        if self.watchdog is not None:
            self._report("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Set the text that `systemctl status` shows. It becomes one line."""
        self._report(f"STATUS={' '.join(text.split())}")

    def stopping(self) -> None:
        """Report that this process stops."""
        self._report("STOPPING=1")

    def _report(self, message: str) -> None:
        if self._address is not None:
            with suppress(OSError):
                self._send(self._address, message.encode())


def silent() -> Notifier:
    """A notifier that sends nothing."""
    return Notifier({}, 0, lambda address, message: None)


def _address(text: str) -> str | None:
    """The address of a path or an abstract socket. An abstract name is written with ``@`` and begins with a NUL."""
    if text.startswith("/"):
        return text
    return f"\0{text[1:]}" if text.startswith("@") and len(text) > 1 else None


def _watchdog(environ: Mapping[str, str], pid: int) -> float | None:
    """WATCHDOG_USEC in seconds. None when it is absent or meant for another process."""
    microseconds, for_pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        return None
    if for_pid and for_pid != str(pid):
        return None
    return int(microseconds) / 1_000_000


def send_datagram(address: str, message: bytes) -> None:
    """Send one datagram to a unix socket, a path or an abstract name. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(SEND_SECONDS)
        sock.sendto(message, address)


async def show_life(notify: Notifier, running: Callable[[], bool], stop: asyncio.Event) -> None:
    """Send signs of life from the event loop until ``stop``. Send none while ``running`` returns False."""
    while not stop.is_set():
        if running():
            notify.alive()
        with suppress(TimeoutError):
            async with asyncio.timeout(notify.pause):
                await stop.wait()


def journal_reads(environ: Mapping[str, str], stream: TextIO) -> bool:
    """Whether ``stream`` goes to the journal. A redirected stream does not."""
    try:
        about = os.fstat(stream.fileno())
    except (OSError, ValueError):  # the stream is closed or is not a file
        return False
    return environ.get("JOURNAL_STREAM") == f"{about.st_dev}:{about.st_ino}"


def mark(level: str) -> str:
    """The prefix that gives a line its ``level``, which is a name of logging in lower case."""
    return f"<{_PRIORITIES[level]}>"
