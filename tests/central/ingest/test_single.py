"""The body of one counter or value, read by the compiled core and by plain Python."""

import json
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central.compiled import CORE
from central.errors import ApiError
from central.ingest.submission import single_item
from protocol.item import Fault, Item, Kind
from tests.central.ingest.test_submission import DAYS, NOW, NUMBERS
from tests.examples import examples

KINDS: tuple[Kind, ...] = ("counter", "value")
EVERYDAY = [
    b'{"name":"a","value":1}',
    b' { "value" : -0.00005 ,\n"name" : "A.b_9-" }\r\t ',
    b'{"name":"a","value":99999999999999.9999,"recorded_at":"2026-02-15T00:00:00Z"}',
    b'{"recorded_at":"2026-02-08T00:00:00Z","tags":{"env":"prod","host":"web-1"},"name":"a","value":0}',
    b'{"name":"%s","value":7.0,"tags":{}}' % (b"n" * 255),
]
UNUSUAL = [
    *(
        b"",
        b"{}",
        b"[]",
        b"null",
        b'"a"',
        b'{"name":"a","value":1',
        b'{"name":"a","value":1}}',
        b'{"name":"a","value":1,}',
    ),
    *(b'{"value":1}', b'{"name":"","value":1}', b'{"name":"a b","value":1}', b'{"name":"\\u0061","value":1}'),
    *(
        b'{"name":"a","value":"1"}',
        b'{"name":"a","value":1e3}',
        b'{"name":"a","value":null}',
        b'{"name":"a","value":01}',
    ),
    *(b'{"name":"a","name":"a","value":1}', b'{"name":"a","value":1,"value":1}'),
    # Fields that only an item of a batch has.
    *(b'{"name":"a","value":1,"type":"counter"}', b'{"name":"a","value":1,"count":1,"min":1,"max":1}'),
    *(b'{"name":"a","value":1,"histogram":"AYUTAdATAg"}', b'{"name":"a","value":1,"unit":"s"}'),
    *(
        b'{"name":"a","value":1,"recorded_at":"%s"}' % time
        for time in (b"2026-02-07T23:59:59Z", b"2026-02-15T00:00:06Z", b"2026-02-15", b"2026-02-30T00:00:00Z", b"")
    ),
    *(
        b'{"name":"a","value":1,"tags":%s}' % tags
        for tags in (b"null", b'{"b":"1","a":"2"}', b'{"a":1}', b'{"a":"1","a":"1"}', b'{"a":"b,c"}')
    ),
]


def outcome(body: bytes, kind: Kind, core: ModuleType | None, now: float = NOW) -> object:
    """All that can be seen of a body's item, or of its refusal."""
    try:
        made = single_item(body, kind, now, 5, core)
    except Fault as fault:
        return fault.code, fault.field, fault.message
    except ApiError as error:
        return error.status, error.body()
    return made, type(made)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", EVERYDAY)
def test_the_core_reads_an_everyday_metric_as_plain_python_does(body: bytes, kind: Kind) -> None:
    assert CORE is not None
    assert CORE.single(body, Item, kind, NOW - 7 * 86_400, NOW + 5, NOW)
    assert outcome(body, kind, CORE) == outcome(body, kind, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", UNUSUAL)
def test_the_core_leaves_all_other_metrics_to_plain_python(body: bytes, kind: Kind) -> None:
    assert CORE is not None
    assert CORE.single(body, Item, kind, NOW - 7 * 86_400, NOW + 5, NOW) is None
    assert outcome(body, kind, CORE) == outcome(body, kind, None)


def test_only_a_counter_may_leave_out_its_value() -> None:
    body = b'{"name":"a"}'
    assert CORE is not None
    assert [CORE.single(body, Item, kind, 0, NOW, NOW) is not None for kind in KINDS] == [True, False]
    for kind in KINDS:
        assert outcome(body, kind, CORE) == outcome(body, kind, None)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Metrics that are nearly, or quite, everyday ones."""
    fields = {
        "name": json.dumps(draw(st.text("aZ09._- \u00e4", min_size=0, max_size=5))),
        "value": draw(NUMBERS),
        "recorded_at": json.dumps(draw(DAYS | st.text(max_size=3))),
        "tags": json.dumps(
            draw(st.dictionaries(st.text("ab1", max_size=2), st.text("a ,\u00e4", max_size=2), max_size=3))
        ),
        "type": '"counter"',
    }
    kept = draw(st.permutations(list(fields)))[: draw(st.integers(1, 5))]
    whole = ("{" + ",".join(f'"{field}":{fields[field]}' for field in kept) + "}").encode()
    at = draw(st.none() | st.integers(0, len(whole) - 1))
    return whole if at is None else whole[:at] + draw(st.binary(max_size=2)) + whole[at + draw(st.integers(0, 2)) :]


@settings(max_examples=examples(500))
@given(bodies() | st.binary(max_size=40), st.sampled_from(KINDS), st.floats(NOW - 86_400, NOW + 86_400))
def test_the_core_is_never_of_another_opinion_on_a_metric(body: bytes, kind: Kind, now: float) -> None:
    assert outcome(body, kind, CORE, now) == outcome(body, kind, None, now)
