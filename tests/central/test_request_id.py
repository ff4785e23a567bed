"""central/request_id.py: which ids of clients are accepted, and that our own ids are unique."""

import pytest

from central.request_id import RequestIds, add_request_id, current_id


@pytest.mark.parametrize(
    "given", ["a", "0f9c3a", "req-1.2_3", "3fa85f64-5717-4562-b3fc-2c963f66afa6", "Root=1-67891233-abc", "x" * 128]
)
def test_a_sane_id_is_kept(given: str) -> None:
    assert RequestIds().begin(given) == current_id() == given


@pytest.mark.parametrize(
    "given",
    [None, "", "x" * 129, "a b", "a\nb", "a\r\nSet-Cookie: x", "a\x00", "\x1b[31m", '"', "<script>", "é", "\u0661"],
)
def test_any_other_is_replaced(given: str | None) -> None:
    made = RequestIds().begin(given)
    assert made != given
    assert RequestIds().begin(made) == made


def test_no_two_are_the_same_in_one_process_and_in_two() -> None:
    here, there = RequestIds(), RequestIds()
    assert len({ids.begin(None) for _ in range(1_000) for ids in (here, there)}) == 2_000


def test_a_line_says_its_own_id_or_that_of_its_task() -> None:
    RequestIds().begin("mine")
    assert add_request_id(None, "", {"event": "x"}) == {"event": "x", "request_id": "mine"}
    assert add_request_id(None, "", {"request_id": "other"}) == {"request_id": "other"}
