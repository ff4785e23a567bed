"""Histograms: every rank within 1/256 of the true sample, the same bytes however the samples were split."""

import random
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.histogram import (
    MAX_BUCKET,
    bounds_of,
    bucket_of,
    decode,
    encode,
    from_text,
    merge,
    middle_of,
    to_text,
)
from protocol.numbers import MAX_UNITS, UNIT

VALUES = st.one_of(st.integers(-300, 300), st.integers(-(10**9), 10**9), st.integers(-MAX_UNITS, MAX_UNITS))
HISTOGRAMS = st.dictionaries(
    st.integers(-MAX_BUCKET, MAX_BUCKET),
    st.one_of(st.integers(1, 10**6), st.integers(1, 1000).map(lambda count: count * UNIT)),
    min_size=1,
    max_size=50,
)


def of(values: list[int]) -> bytes:
    """The histogram of samples that weigh 1."""
    counts = Counter(map(bucket_of, values))
    return encode({bucket: count * UNIT for bucket, count in counts.items()})


@pytest.mark.parametrize(
    ("units", "bucket"),
    [
        (0, 0),
        (1, 1),
        (-1, -1),
        (255, 255),
        (256, 256),
        (257, 256),
        (258, 257),
        (511, 383),
        (512, 384),
        (515, 384),
        (516, 385),
        (-516, -385),
        (10_000, 924),
        (MAX_UNITS, 7725),
    ],
)
def test_the_bucket_of_a_value(units: int, bucket: int) -> None:
    assert bucket_of(units) == bucket


@given(VALUES)
def test_a_value_lies_in_its_bucket_and_near_its_middle(units: int) -> None:
    low, high = bounds_of(bucket_of(units))
    assert low <= units <= high
    assert bucket_of(low) == bucket_of(high) == bucket_of(units)
    assert abs(middle_of(bucket_of(units)) - units) <= Fraction(abs(units), 256)


@given(st.integers(-MAX_BUCKET, MAX_BUCKET - 1))
def test_buckets_follow_each_other_without_a_hole(bucket: int) -> None:
    assert bounds_of(bucket)[1] + 1 == bounds_of(bucket + 1)[0]
    low, high = bounds_of(bucket)
    assert low <= middle_of(bucket) <= high


@given(st.lists(VALUES, min_size=1, max_size=200))
def test_the_sample_of_every_rank_is_in_the_bucket_of_that_rank(values: list[int]) -> None:
    ranked = [bucket for bucket, weight in decode(of(values)).items() for _ in range(weight // UNIT)]
    assert ranked == [bucket_of(value) for value in sorted(values)]


@given(st.lists(VALUES, min_size=1, max_size=100), st.randoms())
def test_the_same_samples_have_the_same_bytes_however_they_were_split(values: list[int], chance: random.Random) -> None:
    parts: list[list[int]] = [[] for _ in range(5)]
    for value in chance.sample(values, len(values)):
        chance.choice(parts).append(value)
    encoded = [of(part) for part in parts if part]
    chance.shuffle(encoded)
    halves = [merge(half) for half in (encoded[:2], encoded[2:]) if half]
    assert merge(encoded) == merge(halves) == of(values)


@given(HISTOGRAMS)
def test_what_was_encoded_comes_back(histogram: dict[int, int]) -> None:
    encoded = encode(histogram)
    assert decode(encoded) == histogram
    assert list(decode(encoded)) == sorted(histogram)
    assert from_text(to_text(encoded)) == encoded


@given(st.binary(max_size=30))
def test_whatever_can_be_decoded_is_what_encode_would_write(encoded: bytes) -> None:
    try:
        histogram = decode(encoded)
    except ValueError:
        return
    assert encode(histogram) == encoded


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x01", id="no bucket"),
        pytest.param(b"\x02\x02\x01", id="an unknown flag"),
        pytest.param(b"\x01\x02", id="a bucket without a count"),
        pytest.param(b"\x01\x02\x80", id="the end within a number"),
        pytest.param(b"\x01\x02\x00", id="a count of 0"),
        pytest.param(b"\x01\x02\x01\x00\x01", id="a bucket twice"),
        pytest.param(b"\x01\x82\x00\x01", id="a number longer than it need be"),
        pytest.param(b"\x00\x02\x90\x4e", id="whole weights as units"),
        pytest.param(b"\x01" + bytes([0xFF] * 10) + b"\x01\x01", id="a bucket out of range"),
        pytest.param(b"\x01\x02" + bytes([0xFF] * 17) + b"\x7f", id="a weight out of range"),
    ],
)
def test_what_encode_never_writes_is_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError):
        decode(encoded)


@pytest.mark.parametrize("text", ["", "AQ=", "AQ==", "A", "AR", "AQ\n", "A+", "A/", "é", "A Q"])
def test_a_text_that_is_not_the_bytes_own_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be the bytes of a histogram in base64url, without padding"):
        from_text(text)


def test_a_minute_of_60_timings_takes_less_than_200_bytes() -> None:
    chance = random.Random(1)
    assert len(of([int(chance.lognormvariate(3, 0.8) * UNIT) for _ in range(60)])) < 200
