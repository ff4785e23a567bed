"""central/store/duck/chosen: what is remembered of a choice, and that a remembered choice is always the right one."""

import random
from pathlib import Path

import pytest

from central.store.duck.chosen import NOTHING, Chosen, ChosenSeries, Filters
from central.store.duck.store import DuckStore
from central.store.series import NewSeries, Series, SeriesCaps, TagFilter
from tests.central.store_help import NOW, Clock, name

FILTERS = [Filters(1, (TagFilter("n", str(number)),)) for number in range(4)]
THREE = Chosen([Series(key, f"n:{key}") for key in (1, 2, 3)], up_to=3)


def test_what_was_not_asked_for_the_longest_goes_first() -> None:
    chosen = ChosenSeries(most_series=8)  # a choice of three takes the room of four
    for filters in FILTERS[:2]:
        chosen.remember(filters, THREE, 0)
    assert chosen.find(FILTERS[0]) == THREE
    chosen.remember(FILTERS[2], THREE, 0)
    assert [chosen.find(filters) for filters in FILTERS[:3]] == [THREE, NOTHING, THREE]


def test_a_choice_that_is_remembered_again_takes_room_once() -> None:
    chosen = ChosenSeries(most_series=8)
    chosen.remember(FILTERS[1], THREE, 0)
    for _ in range(9):
        chosen.remember(FILTERS[0], THREE, 0)
    assert chosen.find(FILTERS[1]) == THREE


def test_a_choice_with_more_series_than_there_is_room_is_not_kept() -> None:
    chosen = ChosenSeries(most_series=3)
    chosen.remember(FILTERS[0], THREE, 0)
    assert chosen.find(FILTERS[0]) == NOTHING


def test_choices_of_no_series_take_room_too() -> None:
    chosen = ChosenSeries(most_series=3)
    for filters in FILTERS:
        chosen.remember(filters, Chosen(up_to=9), 0)
    assert [chosen.find(filters) != NOTHING for filters in FILTERS] == [False, True, True, True]


def test_a_choice_read_before_a_deletion_is_not_remembered_after_it() -> None:
    chosen = ChosenSeries()
    before = chosen.deletions
    chosen.forget_all()
    chosen.remember(FILTERS[0], THREE, before)
    assert chosen.find(FILTERS[0]) == NOTHING


@pytest.mark.parametrize("seed", range(3))
async def test_choices_are_right_while_series_come_and_go(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    store = DuckStore(tmp_path, clock=Clock())
    await store.open()
    metrics = [await name(store, text) for text in ("a", "b")]
    alive: dict[tuple[int, str], int] = {}
    filters: list[list[TagFilter]] = [
        [],
        [TagFilter("env", "e1")],
        [TagFilter("env", "e1"), TagFilter("host", "h*")],
        [TagFilter("env", "e1", negated=True)],
        [TagFilter("host", "h3"), TagFilter("env", "e2")],
    ]
    for _ in range(60):
        metric = dice.choice(metrics)
        if alive and dice.random() < 0.2:
            metric_id, tags = dice.choice(sorted(alive))
            assert await store.series.delete(metric_id, tags)
            del alive[metric_id, tags]
        elif dice.random() < 0.5:
            wanted = [NewSeries(metric.id, f"env:e{dice.randrange(3)},host:h{dice.randrange(9)}") for _ in range(4)]
            made = await store.series.resolve(wanted, SeriesCaps(1_000, 1_000), NOW)
            alive |= {(new.metric_id, new.tags): one.id for new, one in made.items()}
        asked, limit, after = dice.choice(filters), dice.choice([1, 3, 1_000]), dice.choice([0, 0, 0, *alive.values()])
        meet = sorted(
            (key, tags)
            for (metric_id, tags), key in alive.items()
            if metric_id == metric.id and key > after and all(_holds(one, tags) for one in asked)
        )
        found = await store.series.select(metric.id, asked, after, limit)
        assert found == [Series(*pair) for pair in meet[:limit]]
    await store.close()


def _holds(tag: TagFilter, tags: str) -> bool:
    value = dict(pair.split(":") for pair in tags.split(","))[tag.key]
    return (value.startswith("h") if tag.pattern == "h*" else value == tag.pattern) != tag.negated
