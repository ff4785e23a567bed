"""Names that belong to another type: said once each, kept for whoever asks, and bounded."""

import pytest

from agent.forward.clashes import MAX_CLASHES, Clashes, sentence
from protocol.statsd_types import MAX_RENAMED


class EventLog(list[str]):
    def __call__(self, event: str, message: str) -> None:
        assert event == "name_clash"
        self.append(message)


@pytest.mark.parametrize(
    ("headers", "names"),
    [
        ([None], []),
        (["a.timing"], ["a.timing"]),
        (["a.timing,b.set", "b.set, c.gauge"], ["a.timing", "b.set", "c.gauge"]),
        (["", ",", "nodot", "a b.set", "\x1b[31m.set"], []),
    ],
)
def test_each_name_is_reported_once(headers: list[str | None], names: list[str]) -> None:
    events = EventLog()
    clashes = Clashes(events)
    for header in headers:
        clashes.note(header)
    assert clashes.names == names
    assert [message.partition(";")[0] for message in events] == [sentence(name) for name in names]


def test_other_servers_cannot_fill_the_memory() -> None:
    clashes = Clashes(EventLog())
    clashes.note(",".join(f"n{number}.set" for number in range(1_000)))
    assert len(clashes.names) == MAX_RENAMED
    for number in range(1_000):
        clashes.note(f"m{number}.set")
    assert len(clashes.names) == MAX_CLASHES


def test_a_clash_in_words() -> None:
    assert sentence("db.time.timing") == "db.time belongs to another type, so its timings are stored as db.time.timing"
