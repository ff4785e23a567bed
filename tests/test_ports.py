"""tests/ports.py: no two test processes of a machine are given one port."""

import socket
import subprocess
import sys

from tests.ports import BLOCK, FIRST, LAST, free_port


def test_no_port_is_given_twice_in_a_row() -> None:
    ports = [free_port() for _ in range(BLOCK // 2)]
    assert len(set(ports)) == len(ports)
    assert FIRST <= min(ports) <= max(ports) < LAST


def test_another_process_has_other_ports() -> None:
    code = f"from tests.ports import free_port; print(*(free_port() for _ in range({BLOCK // 2})))"
    theirs = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert not {int(port) for port in theirs} & {free_port() for _ in range(BLOCK // 2)}


def test_a_port_in_use_is_left_out() -> None:
    with socket.create_server(("127.0.0.1", free_port())) as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", free_port()))
        taken = {tcp.getsockname()[1], udp.getsockname()[1]}
        assert not taken & {free_port() for _ in range(BLOCK - len(taken))}
