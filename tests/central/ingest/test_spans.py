"""central/ingest/spans.py: where items begin and end; the same with and without the compiled core."""

import json
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from central.compiled import CORE
from central.ingest.spans import COUNTED, Spans, find_spans
from tests.central.cores import each_core

TABLE: list[tuple[bytes, list[bytes] | int | str]] = [
    (b'{"metrics":[]}', []),
    (b' {\t"metrics"\n:\r[ ] } \n', []),
    (b'{"metrics":[1]}', [b"1"]),
    (b'{"metrics":[1,2 ,3]}', [b"1", b"2 ", b"3"]),
    (b'{"metrics":[{"a":[1,{}]},"],}",[","]]}', [b'{"a":[1,{}]}', b'"],}"', b'[","]']),
    (b'{"metrics":["\\"]","\\\\",""]}', [b'"\\"]"', b'"\\\\"', b'""']),
    (b'{"metrics":[,]}', [b"", b""]),
    (b'{"metrics":[1,]}', [b"1", b""]),
    (b'{"metrics":[(}]}', "other"),
    (b'{"metrics":[1}', "other"),
    (b'{"metrics":[1]', "torn"),
    (b'{"metrics":[1] ', "torn"),
    (b'{"metrics":[1', "torn"),
    (b'{"metrics":[', "torn"),
    (b'{"metrics":["a]}', "torn"),
    (b'{"metrics":["a\\', "torn"),
    (b'{"metrics":["a\\"]}', "torn"),
    (b'{"metrics":[[1]}', "other"),
    (b'{"metrics":[1],"more":1}', "other"),
    (b'{"metrics":[1]}x', "other"),
    (b'{"metrics":[1]]', "other"),
    (b'{"m\\u0065trics":[1]}', "other"),
    (b'{"metrics":{}}', "other"),
    (b"[1]", "other"),
    (b"", "other"),
    (b'{"metrics":[1,2,3,4]}', 4),
    (b'{"metrics":[' + b"[]," * 399 + b"[]]}", 3 * COUNTED),
    (b'{"metrics":[' + b"[]," * 900, 3 * COUNTED),
    (b'{"metrics":[1,2,3,4', "torn"),
]


@each_core
@pytest.mark.parametrize(("body", "items"), TABLE)
def test_items_are_found_and_counted(core: ModuleType | None, body: bytes, items: list[bytes] | int | str) -> None:
    found = find_spans(body, 3, core)
    assert (found if isinstance(found, int | str) else [body[start:end] for start, end in found]) == items


PIECES = st.sampled_from(
    [b"{", b"}", b"[", b"]", b",", b'"', b"\\", b" ", b"1", b'"metrics"', b":", b'{"metrics":[', b"]}", b"\xff", b"\0"]
)


@given(st.lists(PIECES, max_size=30).map(b"".join), st.integers(1, 4))
def test_any_bytes_are_told_apart_alike(body: bytes, most: int) -> None:
    assert CORE is not None
    for text in (body, b'{"metrics":[' + body, b'{"metrics":[' + body + b"]}"):
        assert find_spans(text, most, CORE) == find_spans(text, most, None)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@each_core
@given(st.lists(VALUES, max_size=5), st.sampled_from([None, 1]))
def test_every_item_of_json_is_found(core: ModuleType | None, items: list[object], indent: int | None) -> None:
    body = json.dumps({"metrics": items}, indent=indent).encode()
    found: Spans = find_spans(body, 5, core)
    assert isinstance(found, list)
    assert [json.loads(body[start:end]) for start, end in found] == items
