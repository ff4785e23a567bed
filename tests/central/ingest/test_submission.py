"""central/ingest/submission.py: from a decoded body to a submission."""

import json
from datetime import UTC, date, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.compiled import CORE
from central.errors import ApiError
from central.ingest.submission import RequestKey, Submission, batch, batch_of, single
from protocol.item import Fault, Item
from protocol.limits import MAX_BATCH_ITEMS
from protocol.numbers import UNIT
from protocol.times import format_time
from tests.central.cores import each_core
from tests.examples import examples

NOW = 1_771_113_600
GOOD = {"name": "a", "type": "value", "value": 1}


def in_batch(*items: object, now: float = NOW) -> Submission:
    return batch({"metrics": list(items)}, 7, now, 5)


def conflict(field: str = "name") -> Fault:
    return Fault("METRIC_TYPE_CONFLICT", field, "is a counter")


def body(submission: Submission) -> Any:
    return json.loads(submission.answer().body)


# --- singles


def test_a_counter_without_a_value_is_one_now() -> None:
    submission = single(b'{"name":"a"}', "counter", 7, NOW + 0.9, 5)
    assert submission.items == [Item("a", "counter", UNIT, NOW)]
    assert (submission.key_id, submission.total, submission.places) == (7, 1, None)
    answer = submission.answer()
    assert (answer.status, answer.body) == (201, b'{"success":true,"message":"Counter metric recorded"}')


def test_a_value_is_kept_exactly() -> None:
    submission = single(b'{"name":"a","value":9999999999999999.9999}', "value", 7, NOW, 5)
    assert submission.items[0].value == 10**20 - 1
    assert submission.answer().body == b'{"success":true,"message":"Value metric recorded"}'


def test_a_single_that_breaks_a_rule_is_a_fault() -> None:
    with pytest.raises(Fault) as caught:
        single(b'{"name":"a"}', "value", 7, NOW, 5)
    assert (caught.value.code, caught.value.field) == ("VALIDATION_ERROR", "value")


def test_a_single_rejected_later_is_a_400_and_not_remembered() -> None:
    submission = single(b'{"name":"a"}', "counter", 7, NOW, 5)
    submission.request = RequestKey(bytes(16), bytes(16))
    assert submission.remembers()
    submission.reject({0: conflict()})
    answer = submission.answer()
    assert (answer.status, json.loads(answer.body)["error"]["code"]) == (400, "METRIC_TYPE_CONFLICT")
    assert submission.items == []
    assert not submission.remembers()


# --- batches


def test_a_batch_rejects_item_by_item_and_keeps_the_places() -> None:
    submission = in_batch(GOOD, 5, {"name": "b"}, GOOD | {"name": "c"}, GOOD | {"name": "\x00"}, GOOD | {"name": 3})
    assert [item.name for item in submission.items] == ["a", "c"]
    assert submission.places == [0, 3]
    assert body(submission) == {
        "success": True,
        "accepted": 2,
        "rejected": 4,
        "errors": [
            {"index": index, "name": name, "code": code, "message": submission.rejected[at].fault.message}
            for at, (index, name, code) in enumerate(
                [
                    (1, None, "VALIDATION_ERROR"),
                    (2, "b", "VALIDATION_ERROR"),
                    (4, "\x00", "INVALID_NAME"),
                    (5, None, "INVALID_NAME"),
                ]
            )
        ],
    }


def test_what_an_answer_says_of_an_item_is_drawn_when_it_is_judged() -> None:
    """A long body is judged beside the event loop, and its answer is made on it: there it is only put together."""
    sent = json.dumps({"metrics": [{"name": "?" * 255, "type": "value", "value": 1}] * 1_000}).encode()
    made = batch_of(sent, 7, NOW, 5)
    drawn = [entry.text for entry in made.rejected]
    assert len(drawn) == 1_000
    assert b'"errors":[' + b",".join(drawn) + b"]}" in made.body()


def test_a_name_is_echoed_within_bounds() -> None:
    assert in_batch(GOOD | {"name": "n" * 100_000}).rejected[0].name == "n" * 255


def test_what_is_rejected_later_keeps_its_place_in_the_batch() -> None:
    submission = in_batch(*(GOOD | {"name": name} for name in "ab"), None, *(GOOD | {"name": name} for name in "cde"))
    submission.reject({1: conflict(), 3: conflict()})
    assert [item.name for item in submission.items] == ["a", "c", "e"]
    assert [(entry.place, entry.name) for entry in submission.rejected] == [(1, "b"), (2, None), (4, "d")]
    submission.reject({2: conflict()})
    assert [(entry.place, entry.name) for entry in submission.rejected] == [(1, "b"), (2, None), (4, "d"), (5, "e")]
    assert submission.places == [0, 3]
    assert (body(submission)["accepted"], body(submission)["rejected"]) == (2, 4)


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=4), max_size=4))
def test_rejecting_in_steps_counts_each_item_once(steps: list[list[int]]) -> None:
    submission = in_batch(*(GOOD | {"name": f"n{number}"} for number in range(10)))
    for step in steps:
        submission.reject({position: conflict() for position in step if position < len(submission.items)})
        assert submission.places is not None
        assert [f"n{place}" for place in submission.places] == [item.name for item in submission.items]
        assert all(entry.name == f"n{entry.place}" for entry in submission.rejected)
        places = sorted([*submission.places, *(entry.place for entry in submission.rejected)])
        assert places == list(range(10))


def test_a_batch_with_a_key_is_remembered_also_when_all_is_rejected() -> None:
    submission = in_batch(None)
    assert not submission.remembers()
    submission.request = RequestKey(bytes(16), bytes(16))
    assert submission.remembers()
    assert submission.answer().status == 201


def test_the_plain_body_is_what_nothing_rejected_would_have_said() -> None:
    assert json.loads(in_batch(GOOD, None).plain_body()) == body(in_batch(GOOD, GOOD))


@pytest.mark.parametrize(
    ("raw", "code", "field", "says"),
    [
        (None, "VALIDATION_ERROR", "metrics", '{"metrics": [...]}'),
        ([GOOD], "VALIDATION_ERROR", "metrics", '{"metrics": [...]}'),
        ({}, "VALIDATION_ERROR", "metrics", '{"metrics": [...]}'),
        ({"metrics": GOOD}, "VALIDATION_ERROR", "metrics", "1 to 1000"),
        ({"metrics": []}, "VALIDATION_ERROR", "metrics", "1 to 1000"),
        ({"metrics": [GOOD], "z": 1, "b": 2}, "VALIDATION_ERROR", "b", "'b', 'z'"),
        ({"metrics": [GOOD] * (MAX_BATCH_ITEMS + 1)}, "BATCH_TOO_LARGE", "metrics", "1001"),
    ],
)
def test_what_is_no_batch_is_refused(raw: object, code: str, field: str, says: str) -> None:
    with pytest.raises(ApiError) as caught:
        batch(raw, 7, NOW, 5)
    assert (caught.value.status, caught.value.code, caught.value.details["field"]) == (400, code, field)
    assert says in caught.value.message


def test_a_full_batch_is_taken() -> None:
    assert len(in_batch(*[GOOD] * MAX_BATCH_ITEMS).items) == MAX_BATCH_ITEMS


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01", "9999-12-31"])
def test_a_time_at_the_end_of_the_calendar_is_a_fault_of_its_item(text: str) -> None:
    (entry,) = in_batch(GOOD | {"recorded_at": text}).rejected
    assert entry.fault.field == "recorded_at"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(-7 * 86_400, None), (-7 * 86_400 - 1, "TIMESTAMP_TOO_OLD"), (5, None), (6, "TIMESTAMP_IN_FUTURE")],
)
def test_times_are_taken_from_seven_days_back_to_the_skew_ahead(seconds: int, code: str | None) -> None:
    submission = in_batch(GOOD | {"recorded_at": format_time(NOW + seconds)})
    assert [entry.fault.code for entry in submission.rejected] == ([code] if code else [])


# --- bodies, read by the compiled core and by plain Python

EVERYDAY = [
    b'{"metrics":[{"name":"a","type":"value","value":1}]}',
    b' { "metrics" : [ { "name" : "a.B_9-" , "type" : "counter" , "value" : -0.5 } ] }\r\n\t ',
    b'{"metrics":[{"value":0,"name":"a","type":"value"},{"type":"counter","name":"b","value":-0.0}]}',
    b'{"metrics":[{"name":"a","type":"value","value":99999999999999.9999,"recorded_at":"2026-02-15T00:00:00Z"}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1.23456789012345678901234567890123456789}]}',
    b'{"metrics":[{"name":"a","type":"value","value":12.5,"count":3,"min":1,"max":10.25}]}',
    b'{"metrics":[{"name":"a","type":"value","value":9.5,"count":3,"min":-5,"max":7.25,"histogram":"AYUTAdATAg"}]}',
    b'{"metrics":[{"histogram":"AYUTAdATAg","name":"a","type":"value","value":0,"count":3,"min":-5,"max":7.25}]}',
    b'{"metrics":[{"name":"%s","type":"value","value":1}]}' % (b"n" * 255),
    *(
        b'{"metrics":[{"name":"a","type":"value","tags":%s,"value":1},{"name":"b","type":"value","value":2}]}' % tags
        for tags in (
            *(b"{}", b" { } ", b'{"env":"prod"}', b'{"env":"prod","host":"web-1"}', b'{"a":"","a-":"","a.":"b:c"}'),
            b'{"A":" !\'#%&()*+-./09:<>?@AZ[]^_`az{}~","Z/9._-":"x","_":"$","a":" {} : "}',
            b' {\n"a" : "1" ,\t"b":"2"\r} ',
            b'{"%s":"%s"}' % (b"k" * 64, b"v" * 200),
            b"{%s}" % b",".join(b'"k%02d%s":"%s"' % (number, b"k" * 61, b"v" * 200) for number in range(20)),
        )
    ),
    *(
        b'{"metrics":[{"name":"a","type":"value","value":%s}]}' % number
        for number in (b"0.00005", b"0.00015", b"0.000050", b"0.000051", b"-0.00015", b"0.99995", b"1.00004999", b"7.0")
    ),
    *(
        b'{"metrics":[{"name":"a","type":"value","value":1,"recorded_at":"2026-02-%s"}]}' % time
        for time in (b"14T23:59:59Z", b"08T00:00:00Z", b"15T00:00:05Z")
    ),
]
UNUSUAL = [
    b"",
    b"{}",
    b"[]",
    b'{"metrics":[]}',
    b'{"metrics":[{}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1}],"more":1}',
    b'{"metrics":[{"name":"a","type":"value","value":1}]} x',
    b'{"metrics":[{"name":"a","type":"value","value":1}',
    b'{"metrics":[{"name":"a","type":"value","value":1},]}',
    b'{"metrics":[{"name":"a","type":"value","value":1,}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1,"value":2}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1,"histogram":"AYUTAdATAg"}]}',
    *(
        b'{"metrics":[{"name":"a","value":9.5,"type":"%s","count":%s,"min":%s,"max":%s,"histogram":%s}]}' % fields
        for fields in (
            (b"counter", b"3", b"-5", b"7.25", b'"AYUTAdATAg"'),
            (b"value", b"4", b"-5", b"7.25", b'"AYUTAdATAg"'),
            (b"value", b"3", b"-4.9", b"7.25", b'"AYUTAdATAg"'),
            (b"value", b"3", b"-5", b"7.4", b'"AYUTAdATAg"'),
            (b"value", b"3", b"-5", b"7.25", b'"AYUTAdATAg=="'),
            (b"value", b"3", b"-5", b"7.25", b'"AYUTAdATAh"'),
            (b"value", b"3", b"-5", b"7.25", b'"AYUTAdATA"'),
            (b"value", b"3", b"-5", b"7.25", b'"AoUTAdATAg"'),
            (b"value", b"3", b"-5", b"7.25", b'""'),
            (b"value", b"3", b"-5", b"7.25", b"null"),
        )
    ),
    *(
        b'{"metrics":[{"name":"a","type":"value","tags":%s,"value":1},{"name":"b","type":"value","value":2}]}' % tags
        for tags in (
            *(b"null", b"[]", b'""', b'"env:prod"', b"1", b"{", b'{"a"}', b'{"a":}', b'{"a":"1",}', b'{,"a":"1"}'),
            *(b'{"a":1}', b'{"a":null}', b'{"a":true}', b'{"a":["b"]}', b'{"a":{"b":"c"}}', b'{"a":"1" "b":"2"}'),
            *(b'{"":"x"}', b'{"1a":"x"}', b'{".a":"x"}', b'{"-a":"x"}', b'{"/a":"x"}', b'{"a:b":"x"}', b'{"a b":"x"}'),
            *(b'{"a":"b,c"}', b'{"a":"b|c"}', b'{"a":"b=c"}', b'{"a":"b;c"}', b'{"a":"b\\u0007"}', b'{"a":"\x7f"}'),
            *(b'{"a":"\x01"}', b'{"a":"b\nc"}', b'{"a":"\\ud800"}', b'{"a":"\\u200b"}', b'{"a":"\xff"}'),
            *(b'{"a":"1","a":"1"}', b'{"a":"1","a":"2"}', b'{"a":"1","\\u0061":"2"}', b'{"b":"1","a":"2","b":"3"}'),
            # These keep the rules, but need more than the everyday form.
            *(b'{"b":"1","a":"2"}', b'{"a.":"1","a":"2"}', b'{"a":"\\u0062"}', b'{"a":"\\""}', b'{"a":"b\\\\c"}'),
            *('{"a":"日本"}'.encode(), b'{"\\u0061":"b"}', b'{"a":"\\/"}'),
            b'{"%s":""}' % (b"k" * 65),
            b'{"a":"%s"}' % (b"v" * 201),
            b'{"a":"%s"}' % ("é" * 200).encode(),
            b"{%s}" % b",".join(b'"k%02d":""' % number for number in range(21)),
        )
    ),
    b'{"metrics":[{"name":"a","type":"value","value":1,"tags":{"a":"b"},"tags":{"a":"b"}}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1,"value":1}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1}],"metrics":[{"name":"b","type":"value","value":1}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1}] , "metrics" : 1}',
    b'{"metrics":[{"name":"a","type":"value","value":1,"val\\u0075e":2}]}',
    b'{"metrics":[{"name":"a","type":"value","value":{"a":1,"a":1}}]}',
    *(
        b'{"metrics":[{"name":"a","type":"value","value":1},{"name":"a","type":"value","value":1,"count":1,"min":1,'
        b'"max":1,"recorded_at":"2026-02-15T00:00:00Z",%s}]}' % again
        for again in (
            *(b'"name":"a"', b'"type":"value"', b'"value":1', b'"count":1', b'"min":1', b'"max":1'),
            b'"recorded_at":"2026-02-15T00:00:00Z"',
        )
    ),
    b'{"metrics":[{"name":"a","type":"value","value":1,"unit":"s"}]}',
    b'{"metrics":[{"name":"a","type":"gauge","value":1}]}',
    b'{"metrics":[{"name":"a b","type":"value","value":1}]}',
    b'{"metrics":[{"name":"","type":"value","value":1}]}',
    b'{"metrics":[{"name":"\\u0061","type":"value","value":1}]}',
    '{"metrics":[{"name":"\u00e4","type":"value","value":1}]}'.encode(),
    b'{"metrics":[{"name":"%s","type":"value","value":1}]}' % (b"n" * 256),
    b'{"metrics":[{"name":"a","type":"value"}]}',
    b'{"metrics":[{"type":"value","value":1}]}',
    b'{"metrics":[{"name":"a","value":1}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1,"count":1}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1,"count":0,"min":1,"max":1}]}',
    b'{"metrics":[{"name":"a","type":"value","value":1,"count":1,"min":2,"max":1}]}',
    *(
        b'{"metrics":[{"name":"a","type":"value","value":%s}]}' % number
        for number in (
            *(b"1e3", b"1E3", b"01", b"+1", b".5", b"1.", b"-", b"true", b"null", b'"1"', b"NaN", b"1_0", b"0x1"),
            *(b"999999999999999", b"9999999999999999.9999", b"10000000000000000", b"1e999999999999999999999"),
        )
    ),
    *(
        b'{"metrics":[{"name":"a","type":"value","value":1,"recorded_at":"%s"}]}' % time
        for time in (
            *(b"2026-02-15", b"2026-02-15T00:00:00", b"2026-02-15T01:00:00+01:00", b"2026-02-15T00:00:00.5Z"),
            *(b"2026-02-15t00:00:00z", b"2026-02-30T00:00:00Z", b"2026-13-01T00:00:00Z", b"2026-02-14T24:00:00Z"),
            *(b"2026-02-14T23:60:00Z", b"2026-02-14T23:59:60Z", b"0000-01-01T00:00:00Z", b"2026-02-07T23:59:59Z"),
            *(b"2026-02-15T00:00:06Z", b"20260215T000000Z", b"2026-02-1xT00:00:00Z", b""),
        )
    ),
]


def outcome(given: bytes, core: ModuleType | None, now: float = NOW) -> object:
    """All that can be seen of a body's submission, or of its refusal."""
    try:
        made = batch_of(given, 7, now, 5, core)
    except ApiError as error:
        return error.status, error.body()
    return made.items, made.key_id, made.total, made.kind, made.answer(), [type(item) for item in made.items]


@pytest.mark.parametrize("given", EVERYDAY)
def test_the_core_reads_what_is_everyday_and_says_what_plain_python_says(given: bytes) -> None:
    assert CORE is not None
    assert CORE.items(given, Item, NOW - 7 * 86_400, NOW + 5, NOW, MAX_BATCH_ITEMS)
    assert outcome(given, CORE) == outcome(given, None)


@pytest.mark.parametrize("given", UNUSUAL)
def test_the_core_leaves_all_else_to_plain_python(given: bytes) -> None:
    assert CORE is not None
    assert CORE.items(given, Item, NOW - 7 * 86_400, NOW + 5, NOW, MAX_BATCH_ITEMS) is None
    assert outcome(given, CORE) == outcome(given, None)


@pytest.mark.parametrize(("count", "read"), [(MAX_BATCH_ITEMS, True), (MAX_BATCH_ITEMS + 1, False)])
def test_the_core_reads_as_many_items_as_a_batch_holds(count: int, read: bool) -> None:
    given = json.dumps({"metrics": [GOOD] * count}).encode()
    assert CORE is not None
    assert (CORE.items(given, Item, 0, NOW, NOW, MAX_BATCH_ITEMS) is not None) == read
    assert outcome(given, CORE) == outcome(given, None)


DAYS = st.datetimes(datetime(2026, 2, 7), datetime(2026, 2, 16)).map(lambda day: day.strftime("%Y-%m-%dT%H:%M:%SZ"))
NUMBERS = st.one_of(
    *(st.decimals(-(10**17), 10**17, places=places).map(str) for places in (0, 1, 4, 5, 6, 9)),
    st.from_regex(r"-?(0|[1-9][0-9]{0,16})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?", fullmatch=True),
)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Batches that are nearly, or quite, everyday ones."""
    items = []
    for _ in range(draw(st.integers(1, 3))):
        fields = {
            "name": json.dumps(draw(st.text("aZ09._- \u00e4", min_size=0, max_size=5))),
            "type": draw(st.sampled_from(['"value"', '"counter"', '"valu"'])),
            "value": draw(NUMBERS),
            "recorded_at": json.dumps(draw(DAYS | st.text(max_size=3))),
            **{field: draw(NUMBERS) for field in draw(st.sampled_from([(), ("count", "min", "max"), ("min",)]))},
        }
        kept = draw(st.permutations(list(fields)))[: draw(st.integers(3, 7))]
        items.append("{" + ",".join(f'"{field}":{fields[field]}' for field in kept) + "}")
    whole = f'{{"metrics":[{",".join(items)}]}}'.encode()
    at = draw(st.none() | st.integers(0, len(whole) - 1))
    return whole if at is None else whole[:at] + draw(st.binary(max_size=2)) + whole[at + draw(st.integers(0, 2)) :]


@settings(max_examples=examples(500))
@given(bodies() | st.binary(max_size=40), st.floats(NOW - 86_400, NOW + 86_400))
def test_the_core_is_never_of_another_opinion(given: bytes, now: float) -> None:
    assert outcome(given, CORE, now) == outcome(given, None, now)


@settings(deadline=None)
@given(st.dates(date(1, 1, 1), date(9999, 12, 31)), st.integers(0, 86_399))
def test_the_core_knows_the_calendar(day: date, second: int) -> None:
    at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(seconds=second)
    given = json.dumps({"metrics": [GOOD | {"recorded_at": at.strftime("%Y-%m-%dT%H:%M:%SZ").rjust(20, "0")}]}).encode()
    assert CORE is not None
    items = CORE.items(given, Item, -1e12, 1e12, 0, 1)
    assert items is not None
    assert datetime.fromtimestamp(0, UTC) + timedelta(seconds=items[0].recorded_at) == at


@each_core
def test_items_taken_out_in_two_goes_keep_their_places(core: ModuleType | None) -> None:
    items = ",".join(f'{{"name":"n{place}","type":"counter","value":1}}' for place in range(4))
    submission = batch_of(f'{{"metrics":[{items}]}}'.encode(), 1, NOW, 5, core)
    fault = Fault("TOO_MANY_METRICS", "name", "full")
    submission.reject({1: fault})
    submission.reject({1: fault})
    assert [(entry.place, entry.name) for entry in submission.rejected] == [(1, "n1"), (2, "n2")]
    assert [item.name for item in submission.items] == ["n0", "n3"]
