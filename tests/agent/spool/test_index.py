"""The order of what can be sent."""

from hypothesis import given
from hypothesis import strategies as st

from agent.spool.index import IndexEntry, Rest, SpoolIndex


def entry(start: int, size: int = 10, part: int = 0) -> IndexEntry:
    return IndexEntry(f"{start:012d}-{part:05d}", start, 1, size)


def an_index(*entries: IndexEntry) -> SpoolIndex:
    index = SpoolIndex()
    for each in entries:
        index.add(each)
    return index


def test_oldest_and_newest_by_window() -> None:
    index = an_index(entry(30), entry(10), entry(20))
    assert index.fresh.oldest() == entry(10)
    assert index.fresh.newest(99) == entry(30)
    assert index.fresh.newest(25) == entry(20)
    assert index.fresh.newest(9) is None
    assert index.fresh.count(20) == 2
    assert list(index) == [entry(10), entry(20), entry(30)]


def test_an_empty_index_has_neither() -> None:
    index = an_index()
    assert (index.fresh.oldest(), index.fresh.newest(99), len(index), index.size) == (None, None, 0, 0)


def test_an_entry_of_the_same_name_is_replaced() -> None:
    index = an_index(entry(10, size=5), entry(10, size=7))
    assert (len(index), index.size) == (1, 7)
    assert entry(10).name in index
    assert 10 not in index


def test_the_pinned_entry_is_not_pushed_out_and_does_not_expire() -> None:
    index = an_index(entry(10), entry(20))
    index.pinned = entry(10)
    assert index.older_than(15) == []
    assert next(index.beyond(0, 9)) == ("spool_bytes", entry(20))
    index.remove(entry(20))
    assert list(index.beyond(0, 9)) == []
    index.remove(entry(10))
    assert index.pinned is None


def a_rest(until: float) -> Rest:
    return Rest(1, until, "why")


def test_a_resting_entry_is_found_when_its_rest_is_over() -> None:
    index = an_index(entry(10), entry(20))
    index.rest(entry(10), a_rest(5.0))
    index.rest(entry(30), a_rest(1.0))
    assert (list(index.fresh), list(index.failed), list(index.all)) == ([entry(20)], [], [entry(10), entry(20)])
    assert index.next_wake() == 5.0
    index.wake(4.9)
    assert list(index.failed) == []
    index.wake(5.0)
    assert (list(index.failed), index.next_wake()) == ([entry(10)], None)
    assert index.rested(entry(10)) == a_rest(5.0)


def test_a_resting_entry_is_pushed_out_and_expires_like_any_other() -> None:
    index = an_index(entry(10), entry(20))
    index.rest(entry(10), a_rest(5.0))
    assert index.older_than(15) == [entry(10)]
    assert next(index.beyond(10, 9)) == ("spool_bytes", entry(10))
    index.add(entry(10, size=7))
    assert (list(index.fresh), index.size) == ([entry(20)], 17)
    index.remove(entry(10, size=7))
    index.add(entry(10))
    assert (index.rested(entry(10)), list(index.fresh)) == (None, [entry(10), entry(20)])


def test_removing_a_missing_entry_changes_nothing() -> None:
    index = an_index(entry(10))
    index.remove(entry(11))
    assert (len(index), index.size) == (1, 10)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 100)), unique_by=lambda pair: pair[0]),
    st.integers(0, 500),
    st.integers(0, 20),
)
def test_the_oldest_go_until_the_rest_fits(given_entries: list[tuple[int, int]], size: int, count: int) -> None:
    index = an_index(*(entry(start, size_) for start, size_ in given_entries))
    gone = []
    for _, old in index.beyond(size, count):
        gone.append(old)
        index.remove(old)
    assert index.size <= size
    assert len(index) <= count
    assert index.size == sum(each.size for each in index)
    assert all(old < kept for old in gone for kept in index)
