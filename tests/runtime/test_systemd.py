"""The words to systemd, from environments as it makes them."""

import pytest

from runtime.systemd import Notifier, silent


class MessageLog(list[tuple[str, bytes]]):
    """What was sent, with where to."""

    def __call__(self, address: str, message: bytes) -> None:
        self.append((address, message))


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("/run/systemd/notify", "/run/systemd/notify"),
        ("@/org/abstract", "\0/org/abstract"),
        ("@a", "\0a"),
        ("@", None),
        ("", None),
        ("relative", None),
        ("vsock:2:1", None),
    ],
)
def test_messages_go_to_the_address_in_notify_socket(path: str, address: str | None) -> None:
    messages = MessageLog()
    notifier = Notifier({"NOTIFY_SOCKET": path}, 7, messages)
    notifier.ready()
    assert messages == ([(address, b"READY=1")] if address else [])
    assert notifier.active == (address is not None)


@pytest.mark.parametrize(
    ("environ", "watchdog"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": ""}, 0.5),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "٣"}, None),
        ({"WATCHDOG_PID": "7"}, None),
        ({}, None),
    ],
)
def test_signs_of_life_are_sent_when_the_watchdog_is_set(environ: dict[str, str], watchdog: float | None) -> None:
    messages = MessageLog()
    notifier = Notifier({"NOTIFY_SOCKET": "/s", **environ}, 7, messages)
    assert notifier.watchdog == watchdog
    assert notifier.pause == (3_600 if watchdog is None else watchdog / 3)
    notifier.alive()
    assert messages == ([("/s", b"WATCHDOG=1")] if watchdog else [])
    assert Notifier(environ, 7, messages).watchdog is None, "nobody to tell"


def test_a_status_is_always_one_line() -> None:
    messages = MessageLog()
    notifier = Notifier({"NOTIFY_SOCKET": "/s"}, 7, messages)
    notifier.status("the service said\n\nREADY=1\r STOPPING=1")
    notifier.stopping()
    assert [message for _, message in messages] == [b"STATUS=the service said READY=1 STOPPING=1", b"STOPPING=1"]


def test_a_message_that_cannot_be_delivered_is_dropped() -> None:
    def gone(address: str, message: bytes) -> None:
        raise FileNotFoundError

    Notifier({"NOTIFY_SOCKET": "/gone"}, 7, gone).ready()
    silent().ready()
