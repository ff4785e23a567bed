"""What the sign of a gauge means on each kind of socket."""

import pytest

from agent.aggregate.aggregator import AggregateOptions, Aggregator
from agent.ledger import Ledger
from agent.receive.gauge_signs import common_sign, feeds_by_socket, mark_absolute, parse_gauge_signs
from protocol.numbers import UNIT


@pytest.mark.parametrize(
    ("text", "absolute", "common"),
    [
        ("delta", set(), "delta"),
        ("absolute", {"UDP", "unix", "unix_stream", "TCP"}, "absolute"),
        ("delta,unix=absolute", {"unix"}, "delta"),
        ("delta, unix_stream=absolute, tcp=absolute", {"unix_stream", "TCP"}, "delta"),
        ("absolute,udp=delta", {"unix", "unix_stream", "TCP"}, "delta"),
    ],
)
def test_a_sign_for_all_sockets_and_for_single_ones(text: str, absolute: set[str], common: str) -> None:
    signs = parse_gauge_signs(text)
    assert {kind for kind, sign in signs.items() if sign == "absolute"} == absolute
    assert common_sign(text) == common


@pytest.mark.parametrize(
    ("sent", "marked"),
    [
        (b"a:-7|g", b"a:-7|g|c:"),
        (b"a:-7|g\r\nb:+1|g|@0.5\nc:1|c", b"a:-7|g|c:\r\nb:+1|g|c:|@0.5\nc:1|c"),
        (b"a:-1|g:-2|g", b"a:-1|g|c:\na:-2|g|c:"),
        (b"a:1|c\nb:1|gauge", b"a:1|c\nb:1|gauge"),
        (b"", b""),
    ],
)
def test_absolute_gauges_are_marked_and_nothing_else(sent: bytes, marked: bytes) -> None:
    assert mark_absolute(sent) == marked


def counted(text: bytes) -> tuple[dict[str, int], dict[str, int]]:
    """The values of gauges where a sign makes a delta, and the notes."""
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(), ledger)
    aggregator.feed(text)
    values = {item.name: item.value // UNIT for item, _, _ in aggregator.close(0).items}
    return values, dict(ledger.notes)


CONTAINERS = [b"c:ab12", b"c:", b"c:ab12|e:it-false|card:low", b"e:it-false|c:ab12"]
DOGSTATSD = [b"#", b"e:it-false,cn-web", b"card:low", *CONTAINERS]


@pytest.mark.parametrize("field", DOGSTATSD)
def test_a_signed_gauge_on_a_dogstatsd_line_is_a_plain_value(field: bytes) -> None:
    values, notes = counted(b"a:5|g\na:-7|g|" + field + b"\nb:-2|g|" + field)
    assert values == {"a": -7, "b": -2}
    assert notes == {}


@pytest.mark.parametrize("field", DOGSTATSD)
def test_a_marked_dogstatsd_line_stays_one_plain_value(field: bytes) -> None:
    assert counted(mark_absolute(b"a:5|g\na:-7|g|" + field)) == ({"a": -7}, {})


def test_each_delta_is_noted() -> None:
    assert counted(b"a:5|g\n" + b"a:-1|g\n" * 3 + b"a:+2:-4|g\n") == ({"a": 0}, {"gauge_delta": 5})


def test_sockets_of_one_agent_can_differ() -> None:
    ledger = Ledger()
    aggregator = Aggregator(AggregateOptions(gauges=common_sign("delta,unix=absolute")), ledger)
    feeds = feeds_by_socket("delta,unix=absolute", aggregator.feed)
    feeds["UDP"](b"statsd:5|g\nstatsd:-7|g")
    feeds["unix"](b"dog:5|g\ndog:-7|g")
    values = {item.name: item.value // UNIT for item, _, _ in aggregator.close(0).items}
    assert values == {"statsd": -2, "dog": -7}
    assert ledger.notes == {"gauge_delta": 1}


def test_one_meaning_for_all_sockets_leaves_feed_as_it_is() -> None:
    feed = Aggregator(AggregateOptions(), Ledger()).feed
    for text in ("delta", "absolute"):
        assert all(its_feed == feed for its_feed in feeds_by_socket(text, feed).values())
