"""central/store/members.py: what the groups of a query add up."""

import numpy as np
import pytest

from central.store.base import IdGroup
from central.store.members import Members, key_column, members_of, members_with_ids, spans_of
from central.store.plan import Segment
from tests.central.store_help import whole

SERIES = 1 << 30


@pytest.mark.parametrize(
    ("groups", "expected", "renamed"),
    [
        ([], Members([], [], [], [], {}), False),
        (whole([2, 1]), Members([2, 1], [], [], [], {2: 2, 1: 1}), False),
        ([IdGroup(9, 1, None)], Members([1], [], [], [], {1: 9}), True),
        ([IdGroup(9, 1, ())], Members([], [], [], [], {}), False),
        ([IdGroup(SERIES, 1, (SERIES,))], Members([], [SERIES], [], [1], {SERIES: SERIES}), False),
        ([IdGroup(1, 1, (0,))], Members([], [], [1], [], {-1: 1}), True),
        (
            [IdGroup(1, 1, (SERIES, 0)), IdGroup(2, 1, (SERIES + 1,)), IdGroup(3, 2, None), IdGroup(4, 2, (0,))],
            Members([2], [SERIES, SERIES + 1], [1, 2], [1], {SERIES: 1, -1: 1, SERIES + 1: 2, 2: 3, -2: 4}),
            True,
        ),
    ],
)
def test_groups_have_members(groups: list[IdGroup], expected: Members, renamed: bool) -> None:
    assert members_of(groups) == expected
    assert members_of(groups).renamed == renamed


@pytest.mark.parametrize(
    "groups",
    [whole([1, 1]), [IdGroup(1, 1, (0,)), IdGroup(2, 1, (0,))], [IdGroup(1, 1, (SERIES,)), IdGroup(2, 1, (SERIES,))]],
)
def test_no_two_groups_share_a_member(groups: list[IdGroup]) -> None:
    with pytest.raises(ValueError, match="two groups of a query share"):
        members_of(groups)


def test_ids_of_members_become_the_keys_of_their_groups() -> None:
    members = members_of([IdGroup(7, 1, (0, SERIES)), IdGroup(8, 2, None)])
    assert key_column(members, np.array([2, -1, SERIES, -1])).tolist() == [8, 7, 7, 7]
    assert key_column(members_of(whole([5])), np.array([5, 5])).tolist() == [5, 5]


def test_ids_are_told_apart_by_the_metrics_of_series() -> None:
    members = members_with_ids([1, SERIES, SERIES + 1, 4], {SERIES: 3, SERIES + 1: 3})
    assert members[:4] == ([1, 4], [SERIES, SERIES + 1], [], [3])
    assert members.only({4, SERIES + 1})[:4] == ([4], [SERIES + 1], [], [3])


@pytest.mark.parametrize(
    ("buckets", "spans"),
    [
        ([], []),
        ([60], [(60, 120)]),
        ([60, 120, 180, 300], [(60, 240), (300, 360)]),
        (list(range(0, 40 * 60, 120)), [(at, at + 60) for at in range(0, 40 * 60, 120)]),
        (list(range(0, 42 * 60, 120)), [(0, 41 * 60)]),
    ],
)
def test_buckets_become_a_few_spans(buckets: list[int], spans: list[tuple[int, int]]) -> None:
    assert spans_of(buckets, 60) == [Segment("raw", *span) for span in spans]


MIXED = [Segment("raw", 30, 60), Segment("minute", 60, 3_600), Segment("raw", 3_600, 3_607)]


@pytest.mark.parametrize(
    ("groups", "spans", "found"),
    [
        ([IdGroup(1, 1, (SERIES,))], None, []),
        ([IdGroup(1, 1, (0,))], None, [Segment("raw", 30, 3_607)]),
        ([IdGroup(1, 1, (0,))], [], [MIXED[0], MIXED[2]]),
        ([IdGroup(1, 1, (0,))], [Segment("raw", 60, 120)], [MIXED[0], MIXED[2], Segment("raw", 60, 120)]),
    ],
)
def test_samples_without_tags_are_read_where_they_can_be(
    groups: list[IdGroup], spans: list[Segment] | None, found: list[Segment]
) -> None:
    assert members_of(groups)._replace(spans=spans).untagged_within(MIXED) == found
