"""The oracle sees a point that is lost, one that is there twice, and one that nobody wrote."""

import pytest

from protocol.numbers import UNIT
from tests.soak.oracle import Oracle, Point, Sums, plain

ONE, TWO = plain("a", 5), Point("a", 3 * UNIT, 9, -2, 7)
BOTH = Sums(4 * UNIT, 14, -2, 7)


@pytest.fixture
def oracle() -> Oracle:
    oracle = Oracle()
    oracle.acknowledge([ONE, TWO])
    return oracle


@pytest.mark.parametrize(
    ("stored", "faults"),
    [
        ({"a": BOTH}, 0),
        ({}, 1),
        ({"a": Sums(UNIT, 5, 5, 5)}, 1),
        ({"a": Sums(5 * UNIT, 19, -2, 7)}, 1),
        ({"a": Sums(4 * UNIT, 14, -1, 7)}, 1),
        ({"a": BOTH, "b": Sums(UNIT, 1, 1, 1)}, 1),
    ],
)
def test_stored_is_what_was_acknowledged(oracle: Oracle, stored: dict[str, Sums], faults: int) -> None:
    assert len(oracle.faults("here", stored)) == faults


@pytest.mark.parametrize(
    ("times", "total", "fits"),
    [(2, 10, True), (3, 15, True), (4, 20, True), (1, 5, False), (5, 25, False), (3, 16, False)],
)
def test_a_point_in_doubt_may_be_stored_once(times: int, total: int, fits: bool) -> None:
    oracle = Oracle()
    for _ in range(2):
        oracle.acknowledge([ONE])
        oracle.doubt([ONE])
    assert (oracle.faults("here", {"a": Sums(times * UNIT, total, 5, 5)}) == []) is fits


def test_with_nothing_but_doubts_nothing_need_be_stored() -> None:
    oracle = Oracle()
    oracle.doubt([ONE])
    assert oracle.faults("here", {}) == []
