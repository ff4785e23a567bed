"""central/ingest/body.py: from the bytes that were sent to decoded JSON, with limits and exact numbers."""

import gzip
import json
import re
import zlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from central.errors import ApiError
from central.ingest.body import MAX_PARTS, decode_json, expand
from protocol.limits import MAX_EXPANDED_BYTES

PACKERS: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}
ENCODINGS = pytest.mark.parametrize("encoding", PACKERS)


def fault(body: bytes, encoding: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        expand(body, encoding)
    return caught.value


def code(work: Callable[[], Any]) -> str:
    try:
        work()
    except ApiError as error:
        return error.code
    return "ok"


# --- encodings


@given(body=st.binary(max_size=2000), encoding=st.sampled_from(["gzip", "zstd"]))
def test_what_was_packed_comes_back(body: bytes, encoding: str) -> None:
    assert expand(PACKERS[encoding](body), encoding) == body


@given(first=st.binary(max_size=50), second=st.binary(max_size=50), encoding=st.sampled_from(["gzip", "zstd"]))
def test_what_was_packed_in_parts_comes_back(first: bytes, second: bytes, encoding: str) -> None:
    pack = PACKERS[encoding]
    assert expand(pack(first) + pack(second), encoding) == first + second


@given(body=st.binary(min_size=1, max_size=300), encoding=st.sampled_from(["gzip", "zstd"]), data=st.data())
def test_a_body_torn_anywhere_is_refused(body: bytes, encoding: str, data: st.DataObject) -> None:
    packed = PACKERS[encoding](body)
    torn = packed[: data.draw(st.integers(1, len(packed) - 1))]
    assert fault(torn, encoding).status == 400


@given(
    body=st.binary(max_size=300), tail=st.binary(min_size=1, max_size=20), encoding=st.sampled_from(["gzip", "zstd"])
)
def test_whatever_follows_a_body_it_is_refused_or_was_a_body_too(body: bytes, tail: bytes, encoding: str) -> None:
    try:
        assert expand(PACKERS[encoding](body) + tail, encoding).startswith(body)
    except ApiError as error:
        assert error.status == 400


@given(body=st.binary(max_size=400), encoding=st.sampled_from(["gzip", "zstd"]))
def test_no_bytes_at_all_crash_it(body: bytes, encoding: str) -> None:
    try:
        expand(body, encoding)
    except ApiError as error:
        assert (error.status, error.details) == (400, {"field": "Content-Encoding"})


@ENCODINGS
def test_a_body_may_expand_to_the_bound_and_no_byte_more(encoding: str) -> None:
    pack = PACKERS[encoding]
    assert len(expand(pack(bytes(MAX_EXPANDED_BYTES)), encoding)) == MAX_EXPANDED_BYTES
    assert fault(pack(bytes(MAX_EXPANDED_BYTES + 1)), encoding).status == 413
    assert fault(pack(bytes(MAX_EXPANDED_BYTES)) + pack(b"x"), encoding).status == 413


@ENCODINGS
def test_a_body_in_very_many_parts_is_refused_before_it_costs_seconds(encoding: str) -> None:
    part = PACKERS[encoding](b"")
    assert expand(part * MAX_PARTS, encoding) == b""
    assert "parts" in fault(part * (MAX_PARTS + 1), encoding).message
    assert "parts" in fault(part * 50_000, encoding).message


def test_a_zstd_window_beyond_the_bound_is_refused() -> None:
    settings = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    packer = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    assert fault(packer.compress(b"x" * 100) + packer.flush(), "zstd").status == 400


def test_gzip_padded_with_zeros_is_read() -> None:
    assert expand(gzip.compress(b"x") + bytes(20), "gzip") == b"x"


@pytest.mark.parametrize("encoding", ["deflate", "br", "gzip, zstd", "gzip,gzip", "x", "*", "é" * 100])
def test_an_unknown_encoding_is_refused_and_named_in_short(encoding: str) -> None:
    error = fault(zlib.compress(b"x"), encoding)
    assert (error.status, error.code) == (415, "UNSUPPORTED_ENCODING")
    assert encoding[:10] in error.message
    assert len(error.message) < 120


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_no_encoding_leaves_the_body_alone(encoding: str) -> None:
    assert expand(b"x", encoding) == b"x"


# --- JSON


@given(number=st.decimals(allow_nan=False, allow_infinity=False))
def test_every_number_is_exactly_what_its_text_says(number: Decimal) -> None:
    found = decode_json(f"[{number}]".encode())[0]
    assert type(found) in (int, Decimal)
    assert found == number


@pytest.mark.parametrize("text", ["0.1", "1e3", "1E+2", "-0.0", "9999999999999999.9999", "0.30000000000000004"])
def test_a_number_with_a_point_or_an_exponent_is_a_decimal(text: str) -> None:
    found = decode_json(text.encode())
    assert (type(found), found) == (Decimal, Decimal(text))


def test_an_exponent_beyond_all_bounds_is_no_number() -> None:
    assert decode_json(b"1e9999999999999999999").is_nan()


@pytest.mark.parametrize(
    "text", ["1e-9999999999999999999", "-7.5E-9999999999999999999", "0e9999999999999999999", "-0.0e9999999999999999999"]
)
def test_what_is_next_to_nothing_or_nothing_is_zero(text: str) -> None:
    assert decode_json(text.encode()) == 0


@pytest.mark.parametrize("digits", [1_001, 4_300, 4_301, 50_000])
def test_an_integer_of_very_many_digits_harms_nothing_beside_it(digits: int) -> None:
    nines = "9" * digits
    found = decode_json(f'{{"a":[{nines}, -{nines},1],"b":"{nines}","c":0.{nines},"d": {nines}\n}}'.encode())
    assert found["a"][0] > 10**999 and found["a"][1] < -(10**999) and found["d"] > 10**999
    assert (found["a"][2], found["b"], found["c"]) == (1, nines, Decimal(f"0.{nines}"))


@given(body=st.binary(max_size=100))
def test_whatever_is_no_json_is_refused_in_our_words(body: bytes) -> None:
    assert code(lambda: decode_json(body)) in {"ok", "INVALID_JSON"}


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=10,
    )
)
def test_json_comes_back_as_it_was(value: Any) -> None:
    assert decode_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":[', b'{"metrics":['])
def test_deep_nesting_is_refused(opening: bytes) -> None:
    with pytest.raises(ApiError) as caught:
        decode_json(opening * 100_000)
    assert (caught.value.code, caught.value.details) == ("INVALID_JSON", {"field": "body"})


TWICE = {
    "the list itself": ('{"metrics":[{"name":"a"}],"metrics":[{"name":"b"}]}', "metrics"),
    "a field of an item": ('{"metrics":[{"name":"a","value":1,"value":2}]}', "value"),
    "the same value": ('{"name":"a","name":"a"}', "name"),
    "the last of many items": ('{"metrics":[' + '{"name":"a"},' * 99 + '{"name":"a","min":1,"min":1}]}', "min"),
    "far apart": ('{"type":1,' + "".join(f'"n{at}":1,' for at in range(99)) + '"type":2}', "type"),
    "blanks before the colons": ('{"name" :1,"name"\n:2,"x"\t:3,"y"\r:4}', "name"),
    "an escaped name": ('{"value":1,"\\u0076alue":2}', "value"),
    "an empty name": ('{"":1,"":2}', ""),
    "a name like the syntax": ('{"\\":{":1,"\\":{":2}', '":{'),
    "three times": ('{"a":1,"a":2,"a":3}', "a"),
    "inside a value": ('{"metrics":[{"name":"a","value":{"b":[{"c":1,"c":2}]}}]}', "c"),
    "inside a value that is repeated": ('{"a":{"b":1,"b":2},"a":3}', "b"),
    "lists in lists": ('[[[[{"deep":1,"deep":1}]]]]', "deep"),
    "beside strings that look like it": ('{"a":"\\"b\\":{","c":"x :y","d":[{"e":1,"e":":"}]}', "e"),
    "a number too long to read": ('{"a":' + "9" * 5000 + ',"a":1}', "a"),
    "a name too long to show": ('{"' + "n" * 999 + '":1,"' + "n" * 999 + '":2}', "n" * 80),
}


@pytest.mark.parametrize(("text", "field"), TWICE.values(), ids=TWICE)
def test_a_field_given_twice_is_refused_and_named(text: str, field: str) -> None:
    with pytest.raises(ApiError) as caught:
        decode_json(text.encode())
    assert (caught.value.status, caught.value.code) == (400, "VALIDATION_ERROR")
    assert caught.value.details == {"field": field}
    assert "is given twice in one object; give each field once" in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        '{"a":{"b":1},"c":{"b":2},"d":[{"b":3},{"b":4}]}',
        '{"a":"\\"a\\":1","b":"{{{","c":"::: : :"}',
        '{"a":":","b":" :"}',
        '{"A":1,"a":2,"a ":3}',
    ],
)
def test_one_name_in_several_objects_is_no_fault(text: str) -> None:
    assert decode_json(text.encode()) == json.loads(text)


@given(data=st.data())
def test_every_repeated_field_is_found_wherever_it_is(data: st.DataObject) -> None:
    names = st.text(alphabet='ab":{ \\\n', max_size=2)
    leaf = st.integers(0, 9).map(str) | names.map(json.dumps)
    member = st.tuples(names, st.sampled_from(["", " ", "\n"]))

    def object_of(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        pairs = st.lists(st.tuples(member, inner), max_size=3)
        return pairs.map(
            lambda found: "{" + ",".join(f"{json.dumps(name)}{gap}:{value}" for (name, gap), value in found) + "}"
        )

    def list_of(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.lists(inner, max_size=3).map(lambda found: "[" + ",".join(found) + "]")

    text = data.draw(st.recursive(leaf, lambda inner: object_of(inner) | list_of(inner), max_leaves=8))
    repeated = False

    def look(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal repeated
        repeated |= len(dict(pairs)) < len(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=look)
    assert code(lambda: decode_json(text.encode())) == ("VALIDATION_ERROR" if repeated else "ok")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "the body is empty"),
        (b'{"name": "a"', "Input data was truncated"),
        (
            b'{"name": "\\ud83d"}',
            r"a \u escape is half of a surrogate pair; write both halves, or the character itself",
        ),
        (b'{"name": "\\ud83d\\ude00\\uDC00 abc"}', r"a \u escape is half of a surrogate pair"),
        ('{"name": "größe"}'.encode("latin-1"), "byte 12 (0xf6) is not UTF-8"),
        (b"\xef\xbb\xbf{}", "it begins with a byte order mark; leave that out"),
        ('{"name": "a"}'.encode("utf-16"), "it looks like UTF-16"),
        ('{"name": "a"}'.encode("utf-16-be"), "it looks like UTF-16"),
    ],
)
def test_an_error_about_a_body_says_what_is_wrong(body: bytes, says: str) -> None:
    with pytest.raises(ApiError, match=re.escape(says)):
        decode_json(body)
