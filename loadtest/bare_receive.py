"""The yardstick of receivers: ``python -m loadtest.bare_receive PORT FILE`` reads datagrams and does nothing else.

It reads as the agent does: 64 datagrams per system call, and after the last one it pauses, so that several wait for the
next call. The first eight bytes of FILE say how many it has read.
"""

import ctypes
import mmap
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Final

from agent.receive.datagrams import LONGEST_PAUSE_SECONDS, open_udp

PACKETS: Final = 64
ROOM: Final = 65_536


class _Vector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Header(ctypes.Structure):
    """``struct msghdr`` of a 64-bit Linux."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint),
        ("vectors", ctypes.POINTER(_Vector)),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    """``struct mmsghdr``."""

    _fields_ = (("header", _Header), ("length", ctypes.c_uint))


def receive(sock: socket.socket, count: mmap.mmap) -> None:
    """Read for ever."""
    room = ctypes.create_string_buffer(PACKETS * ROOM)
    vectors = (_Vector * PACKETS)(*(_Vector(ctypes.addressof(room) + ROOM * each, ROOM) for each in range(PACKETS)))
    messages = (_Message * PACKETS)()
    for message, vector in zip(messages, vectors, strict=True):
        message.header.vectors, message.header.vector_count = ctypes.pointer(vector), 1
    recvmmsg, fd, packets = ctypes.CDLL(None).recvmmsg, sock.fileno(), 0
    while True:
        got = recvmmsg(fd, messages, PACKETS, socket.MSG_DONTWAIT, None)
        packets += max(0, got)
        if got < PACKETS:
            struct.pack_into("=Q", count, 0, packets)
            time.sleep(LONGEST_PAUSE_SECONDS)


def main() -> None:
    """Read until SIGTERM."""
    path = Path(sys.argv[2])
    path.write_bytes(bytes(8))
    with path.open("r+b") as file:
        count = mmap.mmap(file.fileno(), 8)
    receive(open_udp("127.0.0.1", int(sys.argv[1])), count)


if __name__ == "__main__":
    main()
