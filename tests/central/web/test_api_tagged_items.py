"""Tags through real HTTP: what is refused, what is stored, and an explosion of tags."""

import json
import uuid
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.central.harness import Central, running

GOOD = {"name": "c", "type": "counter", "value": 1}


async def test_good_items_are_stored_and_each_with_bad_tags_gets_its_error(central: Central) -> None:
    table: list[tuple[Any, str]] = [
        (None, "must be a JSON object of texts"),
        ("env:prod", "must be a JSON object of texts"),
        (["env:prod"], "must be a JSON object of texts"),
        ({"a": 1}, "has a value of 'a' that is no text"),
        ({"a": None}, "has a value of 'a' that is no text"),
        ({"a": {"b": "c"}}, "has a value of 'a' that is no text"),
        ({"a": ["b"]}, "has a value of 'a' that is no text"),
        ({"": "x"}, "has the key ''"),
        ({"k" * 65: "x"}, "has the key"),
        ({"ключ": "x"}, "has the key"),
        ({"a": "v" * 201}, "of 'a'; a value must be at most 200 characters"),
        ({"a": "b\n"}, "has the value 'b\\n' of 'a'"),
        ({"a": "b\u202e"}, "has the value 'b\\u202e' of 'a'"),
        ({"a": "b,c"}, "has the value 'b,c' of 'a'"),
        ({f"k{number}": "" for number in range(21)}, "must be at most 20; there are 21"),
    ]
    items = [GOOD, *({**GOOD, "tags": tags} for tags, _ in table), {**GOOD, "tags": {"a": "b"}}]
    body = (await central.batch(*items)).json
    assert (body["accepted"], body["rejected"]) == (2, len(table))
    for error, (index, (_, says)) in zip(body["errors"], enumerate(table, start=1), strict=True):
        assert (error["index"], error["name"], error["code"]) == (index, "c", "INVALID_TAGS")
        assert error["message"].startswith("tags ")
        assert says in error["message"]
    assert await central.by_tags("c", "a") == {(None,): 1, ("b",): 1}
    assert await central.meter('fiesta_items_rejected_total{code="INVALID_TAGS"}') == len(table)


@pytest.mark.parametrize("tags", ['{"a":"1","a":"1"}', '{"a":"1","b":"2","a":"3"}', '{"a":"1","\\u0061":"2"}'])
async def test_a_key_given_twice_is_refused_by_its_name(central: Central, tags: str) -> None:
    for path, body in (
        ("/api/metrics/counter", f'{{"name":"c","tags":{tags}}}'),
        ("/api/metrics/batch", f'{{"metrics":[{{"name":"c","type":"counter","value":1,"tags":{tags}}}]}}'),
    ):
        assert (await central.post(path, body)).error == (400, "VALIDATION_ERROR", "a")
    assert await central.total("c") == 0


async def test_single_metrics_take_tags(central: Central) -> None:
    for path in ("counter", "value"):
        for number, tags in enumerate([{"b": "2", "a": "1"}, {"a": "1", "b": "2"}, {}, {"a": "日本"}], start=1):
            body = {"name": path, "value": number, "tags": tags}
            assert (await central.post(f"/api/metrics/{path}", body)).status == 201
        assert await central.by_tags(path, "a", "b") == {("1", "2"): 3, (None, None): 3, ("日本", None): 4}
        reply = await central.post(f"/api/metrics/{path}", {"name": path, "value": 1, "tags": {"a": 1}})
        assert reply.error == (400, "INVALID_TAGS", "tags")


async def test_a_batch_that_comes_again_counts_once(central: Central) -> None:
    items = [{**GOOD, "tags": {"host": host}} for host in ("a", "b", "a")]
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = await central.batch(*items, headers=key)
    again = await central.batch(*items, headers=key)
    assert (again.text, again.headers["Idempotency-Replayed"]) == (first.text, "true")
    assert await central.by_tags("c", "host") == {("a",): 2, ("b",): 1}
    other = await central.batch({**GOOD, "tags": {"host": "c"}}, headers=key)
    assert other.error == (400, "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key")


@pytest.mark.parametrize("caps", [{"METRICS_MAX_SERIES_PER_METRIC": "10"}, {"METRICS_MAX_SERIES": "11"}])
async def test_an_explosion_of_tags_costs_detail_and_no_sample(tmp_path: Path, caps: dict[str, str]) -> None:
    dice, sent = Random(11), Counter[str]()
    async with running(tmp_path, caps) as central:
        good = {"name": "good", "type": "counter", "value": 1, "tags": {"env": "prod"}}
        await central.batch(good)
        for _ in range(6):
            users = [f"u{dice.randrange(10**9)}" for _ in range(500)]
            sent.update(users)
            body = (await central.batch(good, GOOD, *({**GOOD, "tags": {"user": user}} for user in users))).json
            assert (body["accepted"], body["rejected"]) == (502, 0)
        assert await central.total("c") == 3_006
        groups = await central.by_tags("c", "overflow", "user")
        assert groups.pop((None, None)) == 6
        assert groups.pop(("true", None)) == sum(sent.values()) - sum(groups.values()) == 2_990
        assert len(groups) == 10
        assert {user: total for (_, user), total in groups.items()}.items() <= sent.items()
        assert await central.by_tags("good", "env") == {("prod",): 7}
        assert await central.meter("fiesta_series_overflow_points_total") == 2_990
        assert await central.meter("fiesta_series") == 11
    async with running(tmp_path, caps) as central:
        assert await central.meter("fiesta_series") == 11
        known = next(user for _, user in groups)
        await central.batch(*({**GOOD, "tags": {"user": user}} for user in (known, "new")))
        after = await central.by_tags("c", "overflow", "user")
        assert after[None, known] == groups[None, known] + 1
        assert after["true", None] == 2_991


async def test_tags_survive_a_stop(tmp_path: Path) -> None:
    for _ in range(2):
        async with running(tmp_path) as central:
            text = json.dumps({**GOOD, "tags": {"b": "2", "a": "é"}}, ensure_ascii=False)
            assert (await central.post("/api/metrics/batch", f'{{"metrics":[{text}]}}')).json["accepted"] == 1
    async with running(tmp_path) as central:
        assert await central.by_tags("c", "a", "b") == {("é", "2"): 2}
