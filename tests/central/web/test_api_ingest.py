"""POST /api/metrics/counter and /value through real HTTP: PRD 3.1, 4.1 and 4.3 with DESIGN's decisions."""

import json
from pathlib import Path

import pytest

from tests.central.harness import Central, now_text, running

COUNTER = "/api/metrics/counter"
VALUE = "/api/metrics/value"
BATCH = "/api/metrics/batch"
BIG = "9999999999999999.9999"


# --- the PRD's examples, to the letter


async def test_the_curl_of_the_prd_with_its_form_content_type_is_recorded(central: Central) -> None:
    reply = await central.post(
        COUNTER, '{"name": "api.requests", "value": 1}', headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert (reply.status, reply.text) == (201, '{"success":true,"message":"Counter metric recorded"}')
    assert await central.total("api.requests") == 1


async def test_a_value_is_recorded_with_the_prds_answer(central: Central) -> None:
    reply = await central.post(VALUE, {"name": "response.time", "value": 12.5, "recorded_at": now_text(-60)})
    assert (reply.status, reply.text) == (201, '{"success":true,"message":"Value metric recorded"}')
    assert reply.headers["Content-Type"].startswith("application/json")


async def test_a_batch_is_recorded_with_the_prds_answer(central: Central) -> None:
    items = [{"name": f"n{i % 7}", "value": i, "type": "counter", "recorded_at": now_text()} for i in range(100)]
    reply = await central.batch(*items)
    assert (reply.status, reply.text) == (201, '{"success":true,"accepted":100,"rejected":0,"errors":[]}')


async def test_a_counter_counts_one_unless_told_otherwise(central: Central) -> None:
    for body in ('{"name":"a"}', '{"name":"a","value":41}'):
        assert (await central.post(COUNTER, body)).status == 201
    assert await central.digits("a", "sum") == "42"
    assert await central.digits("a", "count") == "2"


# --- numbers: exact, from their text


async def test_the_largest_number_goes_in_and_out_with_all_its_digits(central: Central) -> None:
    assert (await central.value("big", BIG)).status == 201
    assert (await central.value("small", f"-{BIG}")).status == 201
    for operation in ("sum", "min", "max", "avg"):
        assert await central.digits("big", operation) == BIG
        assert await central.digits("small", operation) == f"-{BIG}"


async def test_ten_times_a_tenth_is_exactly_one(central: Central) -> None:
    for _ in range(10):
        assert (await central.value("tenth", "0.1")).status == 201
    assert await central.digits("tenth", "sum") == "1"
    assert await central.digits("tenth", "avg") == "0.1"


async def test_a_sum_may_be_larger_than_any_one_number(central: Central) -> None:
    await central.batch(*[{"name": "big", "type": "value", "value": 9_999_999_999_999_999}] * 1000)
    assert await central.digits("big", "sum") == "9999999999999999000"


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("0.30000000000000004", "0.3"),
        ("0.00005", "0"),
        ("0.00015", "0.0002"),
        ("0.00025", "0.0002"),
        ("-0.00015", "-0.0002"),
        ("1e3", "1000"),
        ("1E+2", "100"),
        ("12.5e-1", "1.25"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("1e-400", "0"),
        ("9007199254740993", "9007199254740993"),
        ("0.1234567890123456789012345678901234567890", "0.1235"),
    ],
)
async def test_a_number_is_stored_as_its_text_says_to_four_decimals(central: Central, sent: str, stored: str) -> None:
    assert (await central.value("v", sent)).status == 201
    assert await central.digits("v", "sum") == stored


async def test_what_is_no_number_in_range_is_refused_with_its_field(central: Central) -> None:
    bad_value = (400, "INVALID_VALUE", "value")
    bad_json = (400, "INVALID_JSON", "body")
    table = {
        "true": bad_value,
        "false": bad_value,
        "null": bad_value,
        '"1"': bad_value,
        "[1]": bad_value,
        "{}": bad_value,
        "1e400": bad_value,
        "-1e400": bad_value,
        "1e9999999999999999999": bad_value,
        "1e999999999": bad_value,
        "10000000000000000": bad_value,
        "9999999999999999.99995": bad_value,
        "1" * 100: bad_value,
        "NaN": bad_json,
        "Infinity": bad_json,
        "-Infinity": bad_json,
        "+1": bad_json,
        "01": bad_json,
        ".5": bad_json,
        "1.": bad_json,
        "0x10": bad_json,
        "1_000": bad_json,
        "": bad_json,
    }
    assert {sent: (await central.value("v", sent)).error for sent in table} == table
    assert {sent: (await central.counter("c", sent)).error for sent in table} == table


@pytest.mark.parametrize("digits", [4_301, 100_000])
async def test_a_huge_integer_is_a_bad_value_and_no_crash(central: Central, digits: int) -> None:
    assert (await central.value("v", "9" * digits)).error == (400, "INVALID_VALUE", "value")
    items = ",".join(f'{{"name":"v","type":"value","value":{value}}}' for value in ("1", "-" + "9" * digits, "2"))
    reply = await central.post("/api/metrics/batch", f'{{"metrics":[{items}]}}')
    assert [(error["index"], error["code"]) for error in reply.json["errors"]] == [(1, "INVALID_VALUE")]
    assert await central.total("v") == 3


# --- times


@pytest.mark.parametrize(
    "form",
    [
        "{day}T{time}Z",
        "{day}t{time}z",
        "{day} {time}",
        "{day}T{time}",
        "{day}T{time}.987654321Z",
        "{day}T{time},5+00:00",
    ],
)
async def test_a_time_may_come_in_any_form_of_iso_8601(central: Central, form: str) -> None:
    day, time = now_text(-86_400).rstrip("Z").split("T")
    reply = await central.post(VALUE, {"name": "v", "value": 1, "recorded_at": form.format(day=day, time=time)})
    assert reply.status == 201, reply.text
    point = await central.query("v", "sum", "1m")
    assert point.json["data"] == [{"timestamp": f"{day}T{time[:5]}:00Z", "value": 1}]


@pytest.mark.parametrize(("offset", "hours"), [("+02:00", 2), ("-0530", -5.5), ("+14", 14), ("-12:00", -12)])
async def test_an_offset_is_taken_into_account(central: Central, offset: str, hours: float) -> None:
    local = now_text(-86_400 + hours * 3600).rstrip("Z")
    assert (await central.post(VALUE, {"name": "v", "value": 1, "recorded_at": local + offset})).status == 201
    utc = now_text(-86_400)
    stamp = (await central.query("v", "sum", "1m")).json["data"][0]["timestamp"]
    assert stamp[:13] in {utc[:13], now_text(-86_460)[:13]}


async def test_a_bad_time_is_refused_with_its_field(central: Central) -> None:
    def refused(code: str) -> tuple[int, str, str]:
        return 400, code, "recorded_at"

    table = {
        json.dumps(now_text(-7 * 86_400 - 60)): refused("TIMESTAMP_TOO_OLD"),
        '"1970-01-01T00:00:00Z"': refused("TIMESTAMP_TOO_OLD"),
        '"0001-01-01"': refused("TIMESTAMP_TOO_OLD"),
        json.dumps(now_text(60)): refused("TIMESTAMP_IN_FUTURE"),
        '"9999-12-31T23:59:59Z"': refused("TIMESTAMP_IN_FUTURE"),
        '"0001-01-01T00:00:00+10:00"': refused("INVALID_TIMESTAMP"),
        '"9999-12-31T23:59:59-10:00"': refused("INVALID_TIMESTAMP"),
        "1771113600": refused("INVALID_TIMESTAMP"),
        "1771113600.5": refused("INVALID_TIMESTAMP"),
        '"1771113600"': refused("INVALID_TIMESTAMP"),
        "null": refused("INVALID_TIMESTAMP"),
        "true": refused("INVALID_TIMESTAMP"),
        '""': refused("INVALID_TIMESTAMP"),
        '"yesterday"': refused("INVALID_TIMESTAMP"),
        '"2026-02-30T00:00:00Z"': refused("INVALID_TIMESTAMP"),
        '"2026-02-15T24:00:01Z"': refused("INVALID_TIMESTAMP"),
        '"20260215T000000Z"': refused("INVALID_TIMESTAMP"),
        '"2026-W07-7"': refused("INVALID_TIMESTAMP"),
        '"٢٠٢٦-02-15T00:00:00Z"': refused("INVALID_TIMESTAMP"),
    }
    got = {sent: (await central.post(VALUE, f'{{"name":"v","value":1,"recorded_at":{sent}}}')).error for sent in table}
    assert got == table


async def test_the_skew_of_clocks_that_is_tolerated_is_a_setting(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_CLOCK_SKEW_SECONDS": "600"}) as central:
        item = {"name": "v", "value": 1, "recorded_at": now_text(500)}
        answers = [await central.post(VALUE, item), await central.batch({**item, "type": "value"})]
        assert [answer.status for answer in answers] == [201, 201]
        answers.append(await central.ask("GET", "/health", key=None))
        assert {answer.headers["Metrics-Clock-Skew"] for answer in answers} == {"600"}


async def test_a_replay_says_the_skew_of_today(central: Central) -> None:
    """Also that of an item which would be too old by now."""
    item = {"name": "v", "value": 1, "recorded_at": now_text(-60)}
    first, replay = [await central.post(VALUE, item, headers={"Idempotency-Key": "skew"}) for _ in range(2)]
    assert "Idempotency-Replayed" not in first.headers
    assert replay.headers["Idempotency-Replayed"] == "true"
    assert {answer.headers["Metrics-Clock-Skew"] for answer in (first, replay)} == {"5"}


async def test_seven_days_back_is_still_accepted(central: Central) -> None:
    assert (
        await central.post(VALUE, {"name": "v", "value": 1, "recorded_at": now_text(-7 * 86_400 + 30)})
    ).status == 201


# --- fields and names


async def test_a_bad_field_is_refused_and_named(central: Central) -> None:
    table: dict[tuple[str, str], tuple[int, str, str]] = {
        (COUNTER, "{}"): (400, "VALIDATION_ERROR", "name"),
        (VALUE, '{"name":"v"}'): (400, "VALIDATION_ERROR", "value"),
        (COUNTER, '{"name":"c","tags":[]}'): (400, "INVALID_TAGS", "tags"),
        (VALUE, '{"name":"v","value":1,"type":"value"}'): (400, "VALIDATION_ERROR", "type"),
        (VALUE, '{"name":"v","value":1,"count":2,"min":0,"max":1}'): (400, "VALIDATION_ERROR", "count"),
        (COUNTER, '{"name":""}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":null}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":7}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"a b"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"a/b"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"a\\n"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"a\\u0000"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"é"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"%s"}' % ("n" * 256)): (400, "INVALID_NAME", "name"),
        (COUNTER, '{"name":"\'; DROP TABLE metrics; --"}'): (400, "INVALID_NAME", "name"),
        (COUNTER, "[]"): (400, "VALIDATION_ERROR", "body"),
        (COUNTER, "1"): (400, "VALIDATION_ERROR", "body"),
        (VALUE, "null"): (400, "VALIDATION_ERROR", "body"),
        (BATCH, "[]"): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, "{}"): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, '{"metrics":{}}'): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, '{"metrics":[]}'): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, '{"metrics":null}'): (400, "VALIDATION_ERROR", "metrics"),
        (BATCH, '{"metrics":[{}],"extra":1}'): (400, "VALIDATION_ERROR", "extra"),
    }
    assert {sent: (await central.post(*sent)).error for sent in table} == table


async def test_an_unknown_field_is_named_beside_those_that_are_allowed(central: Central) -> None:
    message = (await central.post(COUNTER, '{"name":"c","valeu":2,"unit":"ms"}')).message
    assert message == "unknown field 'unit', 'valeu'; allowed are name, recorded_at, tags, value"


@pytest.mark.parametrize("name", ["a", "A.b_c-9", ".", "-", "0", "n" * 255])
async def test_a_good_name_is_taken_as_it_is(central: Central, name: str) -> None:
    assert (await central.counter(name)).status == 201
    assert (await central.ask("GET", "/api/metrics")).json["data"] == [{"name": name, "type": "counter"}]
