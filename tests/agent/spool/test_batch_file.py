"""A batch as a file: what is written is read, what was changed is noticed."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.spool.batch_file import (
    aside_name,
    child_names,
    dead_name,
    decode,
    encode,
    file_name,
    is_batch_name,
    parent_name,
    parse_dead_name,
)
from agent.spool.checksummed import seal
from tests.agent.fakes import NOW, a_batch

BATCH = a_batch(5)
NAME = file_name(BATCH)


def test_a_batch_comes_back_as_it_was() -> None:
    assert decode(NAME, encode(BATCH)) == BATCH


def test_a_half_comes_back_under_its_own_name() -> None:
    halves = BATCH.halves()
    assert halves is not None
    for half, name in zip(halves, child_names(NAME), strict=True):
        assert file_name(half) == name
        assert is_batch_name(name)
        assert parent_name(name) == NAME
        assert decode(name, encode(half)) == half


def test_names_sort_by_window_and_place() -> None:
    batches = [a_batch(9, start=NOW), a_batch(1, start=NOW + 10), a_batch(0, start=NOW + 100)._replace(part=3)]
    assert sorted(file_name(batch) for batch in batches) == [file_name(batch) for batch in batches]


@given(st.data())
def test_any_flipped_bit_or_missing_byte_is_noticed(data: st.DataObject) -> None:
    whole = encode(BATCH)
    at = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[at] ^= 1 << data.draw(st.integers(0, 7))
    for damaged in (bytes(flipped), whole[:at], whole + b"\n"):
        with pytest.raises(ValueError, match=r"batch"):
            decode(NAME, damaged)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json\nitem\n",
        b"[]\nitem\n",
        b"{}\nitem\n",
        b'{"id": 5, "start": 1, "part": 0, "samples": [1]}\nitem\n',
        encode(BATCH._replace(samples=(1, 2))).partition(b"\n")[2],
        encode(BATCH._replace(samples=(1, 2, -3))).partition(b"\n")[2],
        encode(BATCH._replace(samples=(), items=())).partition(b"\n")[2],
        b"\xff\n",
    ],
)
def test_a_whole_file_that_is_no_batch_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError):
        decode(NAME, seal("batch", payload))


def test_a_batch_under_another_batchs_name_is_refused() -> None:
    with pytest.raises(ValueError, match="name says"):
        decode(file_name(a_batch(6)), encode(BATCH))


@pytest.mark.parametrize(
    ("change", "is_ours"),
    [
        (lambda name: name, True),
        (lambda name: name.upper(), False),
        (lambda name: f"{name}.tmp", False),
        (lambda name: name.replace(".batch", ".2.batch"), False),
        (lambda name: name.replace(".batch", ""), False),
        (lambda name: name[1:], False),
        (lambda name: f"{name}\n", False),
        (lambda name: "", False),
    ],
)
def test_batch_names(change: Callable[[str], str], is_ours: bool) -> None:
    assert is_batch_name(change(NAME)) is is_ours


def test_a_whole_batch_has_no_parent() -> None:
    assert parent_name(NAME) is None


def test_a_dead_letter_says_why() -> None:
    for name in (NAME, child_names(NAME)[1]):
        for written in (dead_name(name, "INVALID_VALUE"), aside_name(7, dead_name(name, "INVALID_VALUE"))):
            dead = parse_dead_name(written)
            assert dead is not None
            assert (dead.batch_name, dead.code) == (name, "INVALID_VALUE")
    assert parse_dead_name(NAME) is None
