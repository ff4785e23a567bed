"""quickstart/demo.py and quickstart/shop.py: the service takes the whole week, once however often it is sent."""

import asyncio
import json
import time
from decimal import Decimal
from pathlib import Path

import pytest

from central.client import Client, ClientError, Target
from central.settings import Settings
from protocol.item import parse_item
from quickstart.demo import Batch, batches, fill, target, what_to_look_at
from quickstart.plan import beside_python
from quickstart.shop import items_at
from tests.central.harness import process

NOW = 1_795_745_000
TUESDAY_EVENING = 1_795_543_200


@pytest.fixture(scope="module")
def week() -> list[Batch]:
    return list(batches(NOW))


def test_every_batch_has_a_key_of_its_own_and_fits_into_a_request(week: list[Batch]) -> None:
    assert len({key for key, _ in week}) == len(week)
    assert max(len(items) for _, items in week) <= 1_000
    assert 330 <= len(week) <= 336, "a week of half hours"
    for _, items in week[::20]:
        for item in items:
            parse_item(json.loads(json.dumps(item), parse_float=Decimal), NOW, 0)


def test_what_was_sent_before_is_sent_again_as_it_was(week: list[Batch]) -> None:
    before, after = dict(week), dict(batches(NOW + 86_400))
    assert len(before.keys() & after.keys()) == len(before) - 48
    assert all(before[key] == after[key] for key in before.keys() & after.keys())


def test_the_payment_is_slow_on_tuesday_evening() -> None:
    def slowest(at: int) -> float:
        return max(float(item["max"]) for item in items_at(at) if item.get("tags", {}).get("endpoint") == "payment")

    assert slowest(TUESDAY_EVENING) > 2 * slowest(TUESDAY_EVENING - 3_600)


def test_without_a_key_it_says_how_to_start_the_service(tmp_path: Path) -> None:
    with pytest.raises(ClientError, match="start the service with 'make run'"):
        target(tmp_path, "http://127.0.0.1:1", None)


@pytest.mark.parametrize(
    ("settings", "variables"),
    [
        (Settings(), ""),
        (
            Settings(listen=("127.0.0.1", 9000), data_dir=Path("other one")),
            "METRICS_LISTEN=127.0.0.1:9000 METRICS_DATA_DIR='other one' ",
        ),
    ],
)
def test_its_commands_find_the_service(settings: Settings, variables: str) -> None:
    commands = [line.strip() for line in what_to_look_at(1, settings).splitlines() if "fiesta-central" in line]
    program = beside_python("fiesta-central")
    assert [command.partition(" query ")[0] for command in commands] == [f"{variables}{program}"] * 2


async def test_a_service_takes_all_of_it_and_stores_it_once(tmp_path: Path) -> None:
    week = list(batches(time.time()))
    some = [week[0], *week[-12:]]
    orders = sum(int(item["value"]) for _, items in some for item in items if item["name"] == "shop.orders")
    async with process(tmp_path) as (_, central):
        client = Client(Target(central.url, central.key, ""))
        shown: list[int] = []
        for _ in range(2):
            stored = await asyncio.to_thread(fill, client, some, shown.append)
            assert stored == sum(len(items) for _, items in some)
        assert shown == [1] * 2 * len(some)
        assert await central.total("shop.orders") == orders
