"""The histograms of the compiled cores: the same bytes and the same refusals as from protocol.histogram."""

from array import array
from collections.abc import Callable
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.aggregate.core import Core
from central.core import decode_histograms, merge_histograms, rank_histograms, span_of_histogram
from protocol.histogram import MAX_BUCKET, MAX_WEIGHT, decode, encode, merge
from protocol.numbers import MAX_UNITS, UNIT

MERGES: Final = [
    pytest.param(merge, id="plain"),
    pytest.param(Core.merge, id="agent"),
    pytest.param(merge_histograms, id="central"),
]
WEIGHTS: Final = st.one_of(
    st.integers(1, 2 * UNIT), st.integers(1, 10**6).map(lambda count: count * UNIT), st.integers(1, MAX_UNITS // 40)
)
HISTOGRAMS: Final = st.dictionaries(
    st.one_of(st.integers(-MAX_BUCKET, MAX_BUCKET), st.integers(-3, 300)), WEIGHTS, min_size=1, max_size=20
)


def with_another_byte(histogram: dict[int, int], place: int, byte: bytes) -> bytes:
    """An encoded histogram with some bytes in the place of one of its own."""
    encoded = encode(histogram)
    return encoded[: place % len(encoded)] + byte + encoded[place % len(encoded) + 1 :]


LARGEST: Final = encode({0: MAX_WEIGHT})
HEAVY: Final = st.dictionaries(st.integers(-3, 3), st.integers(1, MAX_WEIGHT // 10), min_size=1)


@given(st.lists(HISTOGRAMS, min_size=1, max_size=2) | st.lists(HEAVY, min_size=1, max_size=2))
def test_the_cores_merge_as_plain_python_does(histograms: list[dict[int, int]]) -> None:
    encoded = [encode(histogram) for histogram in histograms]
    assert Core.merge(encoded) == merge_histograms(encoded) == merge(encoded)


@given(st.lists(HISTOGRAMS.filter(lambda one: sum(one.values()) < 2**63), max_size=5))
def test_the_core_decodes_many_into_arrays(histograms: list[dict[int, int]]) -> None:
    entries = [(row, *entry) for row, one in enumerate(histograms) for entry in sorted(one.items())]
    columns = [array("q", column) for column in decode_histograms([encode(one) for one in histograms])]
    assert list(zip(*columns, strict=True)) == entries


WINDOWS: Final = st.lists(st.lists(HISTOGRAMS, min_size=1, max_size=3), max_size=5).filter(
    lambda windows: all(sum(sum(one.values()) for one in window) < 2**63 for window in windows)
)


@given(WINDOWS, st.integers(1, 99_999))
def test_the_core_finds_the_bucket_of_a_rank(windows: list[list[dict[int, int]]], percent: int) -> None:
    encoded = [encode(one) for window in windows for one in window]
    counts = array("q", map(len, windows)).tobytes()
    weights, buckets = (array("q", column) for column in rank_histograms(encoded, counts, percent))
    assert list(weights) == [sum(sum(one.values()) for one in window) for window in windows]
    for window, weight, found in zip(windows, weights, buckets, strict=True):
        entries = [entry for one in window for entry in one.items()]
        reached = [sum(count for bucket, count in entries if bucket <= last) for last in (found - 1, found)]
        assert found in {bucket for bucket, _ in entries}
        assert reached[0] * 100_000 < weight * percent <= reached[1] * 100_000


@pytest.mark.parametrize("percent", [0, -1, 100_000])
def test_a_rank_is_of_a_percent_above_0_and_below_100(percent: int) -> None:
    with pytest.raises(ValueError, match="must be above 0 and below 100000 thousandths"):
        rank_histograms([], b"", percent)


@pytest.mark.parametrize("counts", [[], [1], [3], [2, 0], [0, 2], [1, 2], [-1, 3], [2**62, 2**62]])
def test_each_histogram_is_of_one_window(counts: list[int]) -> None:
    with pytest.raises(ValueError, match="each window has at least one of the histograms"):
        rank_histograms([LARGEST, LARGEST], array("q", counts).tobytes(), 1)


def rank(histograms: list[bytes]) -> tuple[bytes, bytes]:
    """Each is a window."""
    count = len(histograms) if isinstance(histograms, list) else 1
    return rank_histograms(histograms, array("q", [1] * count).tobytes(), 50_000)


def test_windows_that_no_64_bits_hold_are_told() -> None:
    halves = [encode({0: 2**62}), encode({5: 2**62})]
    with pytest.raises(OverflowError):
        rank_histograms(halves, array("q", [2]).tobytes(), 1)
    assert array("q", rank_histograms(halves, array("q", [1, 1]).tobytes(), 1)[1]).tolist() == [0, 5]


@given(HISTOGRAMS | HEAVY)
def test_the_core_says_weight_and_ends_of_a_histogram(histogram: dict[int, int]) -> None:
    said = sum(histogram.values()), min(histogram), max(histogram)
    assert span_of_histogram(encode(histogram)) == said


@given(st.one_of(st.binary(max_size=40), st.builds(with_another_byte, HISTOGRAMS, st.integers(0, 400), st.binary())))
def test_the_cores_refuse_what_plain_python_refuses(encoded: bytes) -> None:
    try:
        histogram = decode(encoded)
    except ValueError:
        for call in (Core.merge, merge_histograms, decode_histograms, rank):
            with pytest.raises(ValueError):
                call([encoded])
        with pytest.raises(ValueError):
            span_of_histogram(encoded)
    else:
        assert span_of_histogram(encoded)[0] == sum(histogram.values())


REFUSED: Final = [
    pytest.param([], id="none"),
    pytest.param([LARGEST, encode({1: 1})], id="more than a rollup holds"),
    pytest.param([encode({1: 1}), b""], id="one without bytes"),
    pytest.param([b"\x01\x02\x80"], id="the end within a number"),
    pytest.param([b"\x01\x02\x00"], id="a count of 0"),
    pytest.param([b"\x01\x82\x00\x01"], id="a number longer than it need be"),
    pytest.param([b"\x00\x02\x90\x4e"], id="whole weights as units"),
    pytest.param([b"\x01" + bytes([0xFF] * 10) + b"\x01\x01"], id="a bucket of 77 bits"),
    pytest.param([b"\x01" + encode({-MAX_BUCKET: 1})[1:2] + b"\x79\x01"], id="a bucket out of range"),
    pytest.param([b"\x00\x02" + bytes([0xFF] * 18) + b"\x01"], id="a weight of 127 bits, all set"),
    pytest.param([b"\x00\x02" + bytes([0x81] * 18) + b"\x04"], id="a weight of 129 bits"),
    pytest.param([b"\x01\x02" + bytes([0xFF] * 17) + b"\x7f"], id="126 bits of whole samples"),
    pytest.param([b"\x01\x02" + bytes([0xFF] * 40) + b"\x01"], id="a weight without end"),
]


@pytest.mark.parametrize("merged", MERGES)
@pytest.mark.parametrize("histograms", REFUSED)
def test_a_merge_refuses(merged: Callable[[list[bytes]], bytes], histograms: list[bytes]) -> None:
    with pytest.raises(ValueError):
        merged(histograms)


@pytest.mark.parametrize("merged", MERGES)
def test_parts_of_samples_become_whole_again(merged: Callable[[list[bytes]], bytes]) -> None:
    """The sum has the flag of whole weights, as it would have without the split."""
    parts = [encode({-5: 1, 7: UNIT}), encode({-5: UNIT - 1})]
    assert merged(parts) == encode({-5: UNIT, 7: UNIT}) == b"\x01\x09\x01\x0c\x01"
    assert merged([LARGEST]) == LARGEST


@given(st.lists(HISTOGRAMS, min_size=1, max_size=5))
def test_the_cores_read_a_bytearray_as_bytes(histograms: list[dict[int, int]]) -> None:
    """DuckDB gives a BLOB as one."""
    encoded = [encode(one) for one in histograms]
    arrays = cast("list[bytes]", [bytearray(one) for one in encoded])
    for call in (Core.merge, merge_histograms, decode_histograms, rank):
        assert call(arrays) == call(encoded)
    assert span_of_histogram(arrays[0]) == span_of_histogram(encoded[0])
    assert arrays == encoded


def test_a_weight_that_no_array_holds_is_told() -> None:
    assert len(decode_histograms([encode({0: 2**63 - 1})])[0]) == 8
    assert len(rank([encode({0: 2**63 - 1})])[0]) == 8
    for call in (decode_histograms, rank):
        with pytest.raises(OverflowError):
            call([encode({0: 2**63})])


@pytest.mark.parametrize("wrong", [(b"\x01\x02\x01",), [1], "text", [memoryview(b"\x01\x02\x01")]])
def test_the_cores_take_a_list_of_bytes(wrong: object) -> None:
    for call in (Core.merge, merge_histograms, decode_histograms, rank):
        with pytest.raises(TypeError):
            call(wrong)  # type: ignore[arg-type]
