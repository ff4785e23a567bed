"""central/spill/record.py: a group that is encoded can be decoded; anything else is refused."""

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from central.ingest.submission import RequestKey
from central.spill.record import BadRecord, SpilledGroup, SpilledRequest, decode, encode, spilled, submission_of
from protocol.item import Item
from protocol.numbers import MAX_UNITS, UNIT
from tests.central.store_help import NOW, TODAY
from tests.central.write_help import item, key_of, sent, sent_single

units = st.integers(-MAX_UNITS, MAX_UNITS)
items = st.builds(
    Item,
    st.text("abcXYZ019._-", min_size=1, max_size=255),
    st.sampled_from(["counter", "value"]),
    units,
    st.integers(0, 2**33),
    st.none() | units,
    st.none() | units,
    st.none() | units,
    st.none() | st.binary(min_size=1),
    st.none() | st.text(min_size=1),
)
sixteen = st.binary(min_size=16, max_size=16)
requests = st.builds(SpilledRequest, st.integers(0, 2**63 - 1), st.lists(items, max_size=5)) | st.builds(
    SpilledRequest, st.integers(1, 9), st.lists(items, max_size=5), sixteen, sixteen, st.none() | st.binary(max_size=99)
)


@given(st.builds(SpilledGroup, sixteen, st.integers(0, 99_999), st.lists(requests, max_size=5)))
def test_a_group_comes_back_to_the_last_digit(group: SpilledGroup) -> None:
    assert decode(encode(group)) == group


def test_a_record_holds_what_was_decided_at_receipt() -> None:
    partly = sent(item(), {"name": "!"}, key="k")
    plain, single = sent(item(), key="l"), sent_single("c", "counter")
    group = spilled(b"g" * 16, TODAY, [partly, plain, single])
    first, second, third = group.requests
    assert (first.points, first.answer) == ([Item("a", "value", UNIT, NOW)], partly.body())
    assert (second.id, second.fingerprint, second.shared, second.answer) == (*key_of(plain), None)
    assert (third.points, third.id) == ([Item("c", "counter", UNIT, NOW)], None)
    assert group.rows == 3


def test_a_request_comes_back_with_its_key_and_places() -> None:
    back = submission_of(SpilledRequest(7, [Item("a", "value", 1, 2)] * 2, b"i" * 16, b"f" * 16))
    assert (back.key_id, back.places, back.request) == (7, [0, 1], RequestKey(b"i" * 16, b"f" * 16))
    assert submission_of(SpilledRequest(7, [])).request is None


@pytest.mark.parametrize(
    ("item", "fields"),
    [
        (Item("a", "value", 1, 2), 7),
        (Item("a", "value", 1, 2, 3, 4, 5), 7),
        (Item("a", "value", 1, 2, 3, 4, 5, b"h"), 8),
        (Item("a", "value", 1, 2, tags="a:b"), 9),
    ],
)
def test_a_point_has_only_the_fields_that_earlier_versions_need(item: Item, fields: int) -> None:
    """A version before histograms and tags refuses a point with more fields than it knows."""
    text = zstandard.decompress(encode(SpilledGroup(b"g" * 16, TODAY, [SpilledRequest(1, [item])])))
    (point,) = msgspec.json.decode(text)["requests"][0]["points"]
    assert len(point) == fields


def test_a_point_of_the_first_version_is_read() -> None:
    point = ["a", "value", 1, 2, None, None, None]
    group = decode(packed({**BASE, "requests": [{"key": 1, "points": [point, [*point, None, None], point[:4]]}]}))
    assert group.requests[0].points == [Item("a", "value", 1, 2)] * 3


GOOD = encode(SpilledGroup(b"g" * 16, TODAY, [SpilledRequest(1, [Item("a", "value", 1, 2)])]))


def packed(raw: object) -> bytes:
    return zstandard.compress(msgspec.json.encode(raw))


def test_an_entry_of_an_earlier_version_has_items_without_histograms() -> None:
    request = {"key": 1, "points": [["a", "value", 5, 2, 10_000, 5, 5]]}
    group = decode(packed({"id": b"g" * 16, "day": TODAY, "requests": [request], "version": 1}))
    assert group.requests[0].points == [Item("a", "value", 5, 2, 10_000, 5, 5)]


BASE = {"id": "Z2dnZ2dnZ2dnZ2dnZ2dnZw==", "day": 1, "version": 1}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (b"", "frame"),
        (b"{}", "frame"),
        (GOOD[:-9], "decompress"),
        (GOOD[:-1] + bytes([GOOD[-1] ^ 1]), "checksum"),
        (packed([]), "object"),
        (packed({}), "id"),
        (packed({**BASE, "requests": [], "version": 2}), "version is 2"),
        (packed({**BASE, "requests": [], "id": "Z2c="}), "16 bytes"),
        (packed({**BASE, "requests": [{"key": 1, "points": [["a", "gauge", 1, 2]]}]}), "gauge"),
        (packed({**BASE, "requests": [{"key": 1, "points": [["a", "value", 1.5, 2]]}]}), "int"),
        (packed({**BASE, "requests": [{"key": 1, "points": [], "id": "Z2c=", "fingerprint": "Z2c="}]}), "16 bytes"),
    ],
)
def test_what_is_no_group_is_refused_with_its_reason(entry: bytes, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        decode(entry)
