"""The StatsD grammar: tables from DESIGN, every peer vector, and no exception but Rejected."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.statsd import KEEP, MAX_DECIMALS, Line, Sample, parse_line, parse_number, parse_tail, pieces_of
from protocol.statsd_tags import TagMode, TagRules
from protocol.tags import parse_tags

VECTORS: list[dict[str, Any]] = json.loads((Path(__file__).parent.parent / "data" / "statsd.json").read_text())

KINDS = {"counter": "counter", "timer": "timing", "histogram": "timing", "gauge": "gauge", "gauge_delta": "gauge"}

# Where DESIGN decides otherwise than the peer a vector comes from: line -> name or reason, and why.
FOREIGN = "a foreign character becomes _, it is not cut out"
NO_VALUE = "no value is rejected"
UNKNOWN_FIELD = "an empty or unknown field is ignored and counted"
EVENT = "events are counted and dropped"
EXCEPTIONS: dict[str, tuple[str, str]] = {
    "smp,gge$:1|g": ("smp_gge_", FOREIGN),
    "foo+bar:250|c": ("foo_bar", FOREIGN),
    "foo+bar:250|c|#tag1:val;1,tag3:val3,tag2:val2": ("foo_bar", FOREIGN),
    "a.packing:|ms|#|:|c:xyz": ("no_value", NO_VALUE),
    "a.packing:::|g|#|:|c:xyz": ("no_value", NO_VALUE),
    "this.are.some.floats:|g": ("no_value", NO_VALUE),
    "this.is.sparta:199812|C": ("unknown_type", "types are lower case"),
    "x:345345|ms|@2": ("bad_rate", "a rate is within (0, 1]"),
    "x:-1|ms": ("x", "a timing may be negative: a difference of clocks is"),
    "this.are.some.floats:1.0|g|1.0": ("this.are.some.floats", UNKNOWN_FIELD),
    "this.are.some.floats:1.0|g|0.1": ("this.are.some.floats", UNKNOWN_FIELD),
    "x:345345|ms|0,456456": ("x", UNKNOWN_FIELD),
    "x:345345|ms|": ("x", UNKNOWN_FIELD),
    "x:345345|ms|b": ("x", UNKNOWN_FIELD),
    "x:345345|ms|blah": ("x", UNKNOWN_FIELD),
    "_e{6,18}:ab|| c|hello,\\nmy friend!": ("event", EVENT),
    "_e{1,1}:a|b|d:123123|h:hoost|p:low|t:warning|#tag1,t:tag2|c:xyz": ("event", EVENT),
    "_e{1,1}:a|b|x:unk": ("event", EVENT),
}


def verdict(line: bytes, **options: Any) -> Sample | str:
    """The first sample of a line, or why it has none."""
    samples, lost = parse_line(line, **options)
    return samples[0] if samples else lost[0]


def numbers(line: bytes) -> list[Decimal]:
    sample = verdict(line)
    assert isinstance(sample, Sample)
    return [value.number for value in sample.values]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["line"][:50] for vector in VECTORS])
def test_every_vector_has_the_peers_verdict_or_a_listed_exception(vector: dict[str, Any]) -> None:
    got = verdict(vector["line"].encode())
    if vector["line"] in EXCEPTIONS:
        expected, _ = EXCEPTIONS[vector["line"]]
        assert (got.name if isinstance(got, Sample) else got) == expected
        return
    assert isinstance(got, Sample) == vector["valid"], got
    if isinstance(got, Sample):
        assert got.name == vector["name"]
        if vector["kind"] == "set":
            assert (got.type, [got.member]) == ("set", [member.encode() for member in vector["values"]])
        else:
            assert got.type == KINDS[vector["kind"]]
            assert [float(value.number) for value in got.values] == vector["values"]
            if got.type != "gauge":
                assert float(got.rate) == vector["rate"]
            else:
                assert [value.signed for value in got.values] == [vector["kind"] == "gauge_delta"] * len(got.values)


def test_the_exceptions_are_all_vectors_and_all_differ() -> None:
    lines = {vector["line"]: vector for vector in VECTORS}
    assert len(VECTORS) == 146
    for line, (expected, why) in EXCEPTIONS.items():
        rejected = not lines[line]["valid"]
        assert expected != lines[line]["name"] or rejected, why


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a", "no_type"),
        (b":", "bad_name"),
        (b"a:1", "no_type"),
        (b"a:1|", "no_type"),
        (b"a:1||@0.1", "no_type"),
        (b"a|c", "no_value"),
        (b"a|b:1|c", "no_value"),
        (b"a:|c", "no_value"),
        (b"a:|s", "no_value"),
        (b":1|c", "bad_name"),
        (b"n" * 256 + b":1|c", "bad_name"),
        (b"\x00\xff:1|c", "bad_name"),
        (b"//:1|c", "bad_name"),
        (b" . :1|c", "bad_name"),
        ("\u65e5\u672c:1|c".encode(), "bad_name"),
        (b"a:1|x", "unknown_type"),
        (b"a:1|MS", "unknown_type"),
        (b"a:1|c |", "unknown_type"),
        (b"a:1|c|@", "bad_rate"),
        (b"a:1|c|@0", "bad_rate"),
        (b"a:1|c|@-0.5", "bad_rate"),
        (b"a:1|c|@1.0001", "bad_rate"),
        (b"a:1|c|@nan", "bad_rate"),
        (b"a:1|c|@ 1", "bad_rate"),
        (b"a:1|g|@2", "bad_rate"),
        (b"a:1|s|@2", "bad_rate"),
        (b"a:1|c|@0.5|@0.5", "duplicate_rate"),
        (b"a:1|g|@0.5|#t|@0.5", "duplicate_rate"),
        (b"a:nan|c", "bad_number"),
        (b"a:inf|g", "bad_number"),
        (b"a:-Infinity|ms", "bad_number"),
        (b"a:1_000|c", "bad_number"),
        (b"a: 1 |c", "bad_number"),
        (b"a:0x10|c", "bad_number"),
        (b"a:.|c", "bad_number"),
        (b"a:e5|c", "bad_number"),
        (b"a:1e|c", "bad_number"),
        (b"a:--1|c", "bad_number"),
        ("a:\u0661\u0662|c".encode(), "bad_number"),
        (b"a:1e16|c", "out_of_range"),
        (b"a:9999999999999999.99995|c", "out_of_range"),
        (b"a:-9999999999999999.99995|g", "out_of_range"),
        (b"a:1e999999999999999999999|g", "out_of_range"),
        (b"a:1000000000000000|c|@0.1", "out_of_range"),
        (b"a:1|c|@1e-16", "out_of_range"),
        (b"_e{1,1}:a|b", "event"),
        (b"_sc|disk|0|m:fine", "service_check"),
        (b"datadog.dogstatsd.client.metrics:1|c|#x:y", "client_telemetry"),
    ],
)
def test_a_bad_line_is_rejected_with_its_reason(line: bytes, reason: str) -> None:
    assert verdict(line) == reason


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"a:5.|c", ["5"]),
        (b"a:.5|c", ["0.5"]),
        (b"a:+1e-2|c", ["0.01"]),
        (b"a:1E2|ms", ["100"]),
        (b"a:0012|h", ["12"]),
        (b"a:-0|d", ["0"]),
        (b"a:0e99999999999999999999|c", ["0"]),
        (b"a:1e000000000000000000002|c", ["100"]),
        (b"a:1e-999999999999999999999|c", ["0"]),
        (b"a:1:-2:3e0|ms", ["1", "-2", "3"]),
        (b"a:9999999999999999.9999|c", ["9999999999999999.9999"]),
        (b"a:9999999999999999.99994999|g", ["9999999999999999.99994999"]),
        (b"a:0.30000000000000004|m", ["0.30000000000000004"]),
        (b"a:999999999999999|c|@0.1", ["999999999999999"]),
        (b"a:1|g|@1e-300", ["1"]),
        (b"a:1|c\r", ["1"]),
    ],
)
def test_numbers_are_exact(line: bytes, expected: list[str]) -> None:
    assert numbers(line) == [Decimal(text) for text in expected]


def test_a_value_finer_than_any_double_is_rounded_half_even() -> None:
    half = Decimal(f"1e-{MAX_DECIMALS}") / 2
    assert parse_number(b"5e-401") == 0
    assert parse_number(b"1.5e-400") == Decimal("2e-400")
    assert parse_number(b"0." + b"0" * MAX_DECIMALS + b"51") == 2 * half
    assert parse_number(b"5e-324") == Decimal("5e-324")


@pytest.mark.parametrize(
    ("raw", "name", "notes"),
    [
        (b"a.B_c-9", "a.B_c-9", ()),
        (b"a/b c", "a-b_c", ("name_cleaned",)),
        ("caf\u00e9".encode(), "caf_", ("name_cleaned",)),
        ("\U0001f389x".encode(), "_x", ("name_cleaned",)),
        (b"\xff\xfe7", "__7", ("name_cleaned",)),
        (b"___", "___", ()),
        (b"a\x00\r", "a__", ("name_cleaned",)),
        (b"_score", "_score", ()),
        (b"_sc", "_sc", ()),
        (b"n" * 255, "n" * 255, ()),
    ],
)
def test_names_are_cleaned_character_by_character(raw: bytes, name: str, notes: tuple[str, ...]) -> None:
    sample = verdict(raw + b":1|c")
    assert isinstance(sample, Sample)
    assert (sample.name, sample.notes) == (name, notes)


def test_the_name_limit_holds_after_the_prefix() -> None:
    assert isinstance(verdict(b"n" * 250 + b":1|c", prefix="host."), Sample)
    assert verdict(b"n" * 251 + b":1|c", prefix="host.") == "bad_name"


@pytest.mark.parametrize(
    ("tail", "notes"),
    [
        (b"c|#", ()),
        (b"c|#,,", ()),
        (b"c|c:ci-1f", ()),
        (b"c|T1656581400", ()),
        (b"c|T", ("unknown_field",)),
        (b"c|", ("unknown_field",)),
        (b"c||e:it-true|card:low", ("unknown_field",)),
        (b"c|T1|#x|@0.5|zz", ("unknown_field",)),
    ],
)
def test_fields_come_in_any_order_and_what_is_ignored_is_noted(tail: bytes, notes: tuple[str, ...]) -> None:
    assert parse_tail(tail).notes == notes


@pytest.mark.parametrize(
    ("tags", "suffix"),
    [
        (b"b:2,a:1", ".a.1.b.2"),
        (b"a:1,a:1", ".a.1"),
        (b"plain", ".plain"),
        (b"k:", ".k"),
        (b":v", ".v"),
        (b":", ""),
        (b",,", ""),
        (b"url:/x?y:1", ".url.-x_y_1"),
        (b"\xff:\xfe", "._._"),
    ],
)
def test_tags_are_appended_sorted_and_cleaned(tags: bytes, suffix: str) -> None:
    tail = parse_tail(b"ms|#" + tags, TagRules("append"))
    assert (tail.suffix, tail.notes) == (suffix, ())


def test_tags_of_several_fields_are_one_set_of_tags() -> None:
    assert parse_tail(b"c|#b|c:x|#a", TagRules("append")).suffix == ".a.b"


HOST = TagRules("keep", (("env", "test"), ("host", "web-1")))


@pytest.mark.parametrize(
    ("line", "rules", "name", "tags", "notes"),
    [
        (b"a:1|c|#env:prod,b", KEEP, "a", "b:,env:prod", ()),
        (b"a:1|c|#b,env:prod", KEEP, "a", "b:,env:prod", ()),
        (b"a:1|c|#url:http://x:80", KEEP, "a", "url:http://x:80", ()),
        (b"a:1|c|#b:1|#a:2", KEEP, "a", "a:2,b:1", ()),
        (b"a:1|c|#", KEEP, "a", None, ()),
        (b"a:1|c|#a:1,a:2", KEEP, "a", "a:1", ("tag_repeated",)),
        (b"a:1|c|#k k:v=w", KEEP, "a", "k_k:v_w", ("tag_cleaned",)),
        (b"a,env=prod,b=2:1|c", KEEP, "a", "b:2,env:prod", ()),
        (b"a;env=prod:1|c", KEEP, "a", "env:prod", ()),
        (b"a[env=prod,b=2]:1|c", KEEP, "a", "b:2,env:prod", ()),
        (b"a[env=prod].count:1|c", KEEP, "a.count", "env:prod", ()),
        (b"a;env=prod:1|c|#env:dog,x:y", KEEP, "a", "env:prod,x:y", ("tag_repeated",)),
        (b"a b;env=prod:1|c", KEEP, "a_b", "env:prod", ("name_cleaned",)),
        (b"a,b:1|c", KEEP, "a_b", None, ("name_cleaned",)),
        (b"a,b=:1|c", KEEP, "a", "b:", ()),
        (b"a,=b:1|c", KEEP, "a__b", None, ("name_cleaned",)),
        (b"a;b=c;d:1|c", KEEP, "a_b_c_d", None, ("name_cleaned",)),
        (b"a[b=c:1|c", KEEP, "a_b_c", None, ("name_cleaned",)),
        (b"a:1|c", HOST, "a", "env:test,host:web-1", ()),
        (b"a:1|c|#env:prod", HOST, "a", "env:prod,host:web-1", ()),
        (b"a;env=prod:1|c", HOST, "a", "env:prod,host:web-1", ()),
        (b"a:1|c|#env:prod", TagRules("drop"), "a", None, ("tags_dropped",)),
        (b"a;env=prod:1|c", TagRules("drop"), "a", None, ("tags_dropped",)),
        (b"a:1|c|#x:y", HOST._replace(mode="drop"), "a", "env:test,host:web-1", ("tags_dropped",)),
        (b"a;env=prod:1|c|#b:2", TagRules("append"), "a.b.2.env.prod", None, ()),
        (b"a:1|c|#x:y", HOST._replace(mode="append"), "a.x.y", "env:test,host:web-1", ()),
    ],
)
def test_tags_are_kept_dropped_or_appended(
    line: bytes, rules: TagRules, name: str, tags: str | None, notes: tuple[str, ...]
) -> None:
    sample = verdict(line, rules=rules)
    assert isinstance(sample, Sample)
    assert (sample.name, sample.tags, sample.notes) == (name, tags, notes)


def test_tags_of_the_host_fill_what_room_there_is() -> None:
    many = b"a:1|c|#" + b",".join(b"k%d" % number for number in range(19))
    sample = verdict(many, rules=HOST)
    assert isinstance(sample, Sample)
    assert (len(parse_tags(sample.tags)), "env:test" in str(sample.tags)) == (20, True)
    assert sample.notes == ("tags_over_cap",)


@pytest.mark.parametrize(
    ("field", "time"),
    [(b"|T1656581400", 1_656_581_400), (b"|T0", 0), (b"|T007", 7), (b"|T" + b"9" * 5_000, 10**11), (b"|T-1", None)],
)
def test_the_time_of_a_line_is_read(field: bytes, time: int | None) -> None:
    sample = verdict(b"a:1|c" + field)
    assert isinstance(sample, Sample)
    assert sample.timestamp == time


def test_a_set_has_one_member_colons_and_all() -> None:
    sample = verdict(b"a:1:2 \xff|s|@0.1")
    assert isinstance(sample, Sample)
    assert sample.member == b"1:2 \xff"
    assert sample.rate == 1


@pytest.mark.parametrize("line", [b"", b"\r"])
def test_an_empty_line_gives_nothing(line: bytes) -> None:
    assert parse_line(line) == Line(())


@given(st.binary(max_size=80), st.sampled_from(["keep", "drop", "append"]))
@example(b"\r\r", "keep")
def test_any_line_is_parsed_or_rejected(line: bytes, tags: TagMode) -> None:
    samples, lost = parse_line(line, "", TagRules(tags))
    assert bool(samples) or bool(lost) or line in {b"", b"\r"}
    for sample in samples:
        assert 0 < len(sample.name) <= 255
        assert sample.name.isascii()
        assert (sample.member is None) == bool(sample.values)


@given(st.text(alphabet="c1:|g#@x", max_size=20).map(str.encode))
def test_a_piece_contains_no_other_piece(rest: bytes) -> None:
    for values, tail in pieces_of(rest):
        assert pieces_of(values + b"|" + tail) == [(values, tail)]


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=9))
def test_any_plain_decimal_is_read_as_itself(number: Decimal) -> None:
    assert numbers(f"a:{number}|ms".encode()) == [number]


@pytest.mark.parametrize("text", [b"9" * 60_000 + b"x", b"1" * 60_000 + b"." * 9, b"." + b"1" * 60_000 + b"e"])
def test_a_packet_of_digits_is_rejected_at_once(text: bytes) -> None:
    assert verdict(b"a:" + text + b"|c") == "bad_number"
