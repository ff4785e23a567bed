"""central/store/duck/bloom.py: it forgets no id, and is rarely wrong about a new one."""

import os

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from central.store.duck.bloom import BloomFilter
from central.store.duck.sql import words

ids = st.binary(min_size=16, max_size=16)


@given(st.lists(ids), st.lists(ids, min_size=1))
def test_what_was_added_or_loaded_is_always_seen(added: list[bytes], loaded: list[bytes]) -> None:
    seen = BloomFilter()
    seen.load(*words(loaded))
    seen.add(added)
    assert all(key in seen for key in added + loaded)


@given(ids)
def test_an_empty_filter_has_seen_nothing(key: bytes) -> None:
    seen = BloomFilter()
    seen.load(np.array([], dtype=np.uint64), np.array([], dtype=np.uint64))
    assert key not in seen


def test_ids_are_rarely_seen_that_never_came_however_many_did() -> None:
    known = [os.urandom(16) for _ in range(60_000)]
    strangers = [os.urandom(16) for _ in range(20_000)]
    grown, loaded = BloomFilter(), BloomFilter()
    grown.add(known)
    loaded.load(*words(known[:30_000]))
    loaded.add(known[30_000:])
    for seen in (grown, loaded):
        assert all(key in seen for key in known)
        assert sum(key in seen for key in strangers) < 20  # the docstring's 1 in 40,000, with much to spare


def test_one_filter_loads_more_than_once() -> None:
    first, second = ([os.urandom(16) for _ in range(1000)] for _ in range(2))
    seen = BloomFilter()
    seen.load(*words(first))
    seen.load(*words(second))
    assert all(key in seen for key in first + second)
