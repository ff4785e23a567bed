"""The reference: a line at a time, straight from the grammar, in fractions. And any packets to ask it about."""

import re
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from agent.aggregate.aggregator import AggregateOptions
from protocol.numbers import MAX_UNITS, units_to_text

Row = tuple[Any, ...]
"""Kind, name, value[, weight, low, high]; numbers as text."""
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
BOUND = Fraction(2 * MAX_UNITS + 1, 20_000)
TYPES = {b"c": "counter", b"m": "counter", b"ms": "timing", b"h": "timing", b"d": "timing", b"g": "gauge", b"s": "set"}


NO_METRICS = ((b"_e{", "event"), (b"_sc|", "service_check"), (b"datadog.dogstatsd.client.", "client_telemetry"))


def pieces(rest: bytes) -> list[bytes]:
    """The pieces of what stands behind a name, each with values and a tail of its own; from the left, one at a time."""
    values, bar, tail = rest.partition(b"|")
    fields = tail.split(b"|")
    for at, one in enumerate(fields):
        before, colon, value = one.partition(b":")
        followed = at + 1 < len(fields) and fields[at + 1].split(b":")[0] in TYPES and fields[at + 1][:2] != b"c:"
        opens = before in TYPES if at == 0 else before[:1] == b"@" or (before == b"" and value != b"")
        if colon and (opens or (followed and one[:1] != b"#" and one[:2] != b"c:")):
            done = [*fields[:at], *([before] if before or at == 0 else [])]
            return [values + b"|" + b"|".join(done), *pieces(b"|".join([value, *fields[at + 1 :]]))]
    return [values + bar + tail]


class Bad(Exception):
    pass


@dataclass
class Reference:
    options: AggregateOptions
    received: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    numbers: dict[tuple[str, str], list[tuple[Fraction, Fraction]]] = field(default_factory=dict)
    gauges: dict[str, Fraction] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    sets: dict[str, set[bytes]] = field(default_factory=dict)
    timed: int = 0
    """Samples with a time of their own. Those here are in the future, and dropped when the window closes."""

    def packet(self, packet: bytes) -> None:
        for line in packet.split(b"\n"):
            bare = line.removesuffix(b"\r")
            if bare:
                self.line(bare)

    def lose(self, reason: str, samples: int = 1) -> None:
        self.received += samples
        self.dropped[reason] += samples

    def line(self, line: bytes) -> None:
        raw, _, rest = line.partition(b":")
        whole = [reason for start, reason in NO_METRICS if raw.startswith(start)]
        if whole or b"|" in raw:
            self.lose((whole or ["no_value"])[0])
            return
        for piece in pieces(rest):
            values, _, text = piece.partition(b"|")
            notes: list[str] = []
            several = 1 + values.count(b":")
            why = None
            try:
                metric_type, rate, tags, absolute = self.tail(text, notes)
                timed = any(re.fullmatch(rb"T\d+", one) for one in text.split(b"|")[1:])
                several = 1 if metric_type == "set" else several
            except Bad as bad:
                why = str(bad)
                type_text = text.partition(b"|")[0]
                several = several if type_text in TYPES and TYPES[type_text] != "set" else 1
            try:
                name = self.name(raw, notes)
                if why is not None:
                    raise Bad(why)
                self.piece(self.full(name, tags, notes), values, (metric_type, rate, absolute, timed), notes)
            except Bad as bad:
                self.lose(str(bad), several)

    def tail(self, text: bytes, notes: list[str]) -> tuple[str, Fraction, list[bytes], bool]:
        type_text, *fields = text.split(b"|")
        if type_text not in TYPES:
            raise Bad("unknown_type" if type_text else "no_type")
        rate, tags = self.fields(fields, notes)
        metric_type = TYPES[type_text]
        if metric_type in ("counter", "timing") and 1 / rate >= BOUND:
            raise Bad("out_of_range")
        dog = any(tags) or any(re.fullmatch(rb"T\d+|(c|e|card):.*|#.*", one, re.DOTALL) for one in fields)
        return metric_type, rate, tags, dog

    def full(self, name: str, tags: list[bytes], notes: list[str]) -> str:
        mode, pairs = self.options.tags.mode, {}
        if mode == "append":
            name += "".join("." + tag for tag in sorted({self.tag(tag) for tag in tags}) if tag)
        elif mode == "drop":
            notes += ["tags_dropped"] * bool(tags)
        else:
            for key, _, value in (tag.decode().partition(":") for tag in tags):
                if not key:
                    notes.append("tag_cleaned")
                elif key in pairs:
                    notes.append("tag_repeated")
                else:
                    pairs[key] = value
        name = self.options.prefix + name
        if len(name) > 255:
            raise Bad("bad_name")
        return name + ("#" + ",".join(f"{key}:{pairs[key]}" for key in sorted(pairs)) if pairs else "")

    def piece(self, name: str, values: bytes, tail: tuple[str, Fraction, bool, bool], notes: list[str]) -> None:
        metric_type, rate, absolute, timed = tail
        if metric_type == "set":
            if not values:
                raise Bad("no_value")
            self.notes.update(notes)
            self.received += 1
            if timed:
                self.timed += 1
            else:
                self.sets.setdefault(name, set()).add(values)
            return
        rate = Fraction(1) if metric_type == "gauge" else rate
        numbers = []
        for text in values.split(b":"):
            try:
                numbers.append((text[:1] in (b"+", b"-"), self.number(text, rate)))
            except Bad as bad:
                self.lose(str(bad))
        if numbers:
            self.notes.update(notes)
            self.received += len(numbers)
        if timed:
            self.timed += len(numbers)
            return
        for signed, number in numbers:
            if metric_type == "gauge":
                delta = signed and self.options.gauges == "delta" and not absolute
                self.notes.update(["gauge_delta"] * delta)
                self.gauge(name, number, delta)
            else:
                self.numbers.setdefault((metric_type, name), []).append((number, rate))

    def name(self, raw: bytes, notes: list[str]) -> str:
        name = self.clean(raw)
        if not 0 < len(name) <= 255:
            raise Bad("bad_name")
        if name.encode() != raw:
            if not re.search("[A-Za-z0-9]", name):
                raise Bad("bad_name")
            notes.insert(0, "name_cleaned")
        return name

    def fields(self, fields: list[bytes], notes: list[str]) -> tuple[Fraction, list[bytes]]:
        rates: list[Fraction] = []
        tags: list[bytes] = []
        for one in fields:
            if one[:1] == b"@":
                if rates:
                    raise Bad("duplicate_rate")
                if not NUMBER.fullmatch(one[1:]) or not 0 < Fraction(one[1:].decode()) <= 1:
                    raise Bad("bad_rate")
                rates.append(Fraction(one[1:].decode()))
            elif one[:1] == b"#":
                tags += [tag for tag in one[1:].split(b",") if tag]
            elif not re.fullmatch(rb"T\d+|(c|e|card):.*", one, re.DOTALL):
                notes.append("unknown_field")
        return (rates or [Fraction(1)])[0], tags

    def clean(self, raw: bytes) -> str:
        return re.sub(r"[^A-Za-z0-9._-]", "_", raw.decode("utf-8", "surrogateescape").replace("/", "-"))

    def tag(self, tag: bytes) -> str:
        key, _, value = tag.partition(b":")
        return ".".join(self.clean(part) for part in (key, value) if part)

    def number(self, text: bytes, rate: Fraction) -> Fraction:
        if not text:
            raise Bad("no_value")
        if not NUMBER.fullmatch(text):
            raise Bad("bad_number")
        number = Fraction(text.decode())
        if abs(number / rate) >= BOUND:
            raise Bad("out_of_range")
        return number

    def gauge(self, name: str, number: Fraction, delta: bool) -> None:
        value = self.gauges.get(name, Fraction(0)) + number if delta else number
        if abs(value) >= BOUND:
            self.dropped["out_of_range"] += 1
            return
        self.gauges[name] = value
        self.touched.add(name)

    def rows(self) -> list[Row]:
        rows: list[Row] = [("value", name, units(self.gauges[name])) for name in self.touched]
        rows += [("value", name, units(Fraction(len(members)))) for name, members in self.sets.items()]
        for (metric_type, name), pairs in self.numbers.items():
            summary = (sum(1 / rate for _, rate in pairs), min(pairs)[0], max(pairs)[0])
            row = [
                sum(number / rate for number, rate in pairs),
                *(summary if len(pairs) > 1 or summary[0] != 1 else ()),
            ]
            rows.append(
                ("counter" if metric_type == "counter" else "value", name, *(units(Fraction(one)) for one in row))
            )
        return sorted(rows)


def units(number: Fraction) -> str:
    return units_to_text(round(number * 10_000))


NAMES = st.sampled_from([b"a", b"b", b"a/x", b"a-x", b"a.k.v", b"\xc3\xa9", b"_e{1", b"", b"n" * 255, b"a|b", b"\r"])
VALUES = st.one_of(
    st.integers(-50, 50).map(lambda number: b"%d" % number),
    st.decimals(-1000, 1000, places=4).map(lambda number: str(number).encode()),
    st.decimals(-(10**9), 10**9, places=8).map(lambda number: str(number).encode()),
    st.floats(allow_nan=False, min_value=-1e9, max_value=1e9).map(lambda number: repr(number).encode()),
    st.sampled_from(
        [b"1", b"+1", b"-1", b"0.5", b".5", b"5.", b"1e2", b"x", b"", b"nan", b"1_0", b"999999999", b"+.5", b"-"]
    ),
)
FIELDS = st.sampled_from(
    [
        *(
            b"@0.1",
            b"@0.3",
            b"@1",
            b"@1.0",
            b"@2",
            b"@x",
            b"#k:v",
            b"#",
            b"#b,a:1",
            b"#b:x,:y",
            b"T99999999999",
            b"c:x",
            b"e:y",
            b"card:",
            b"",
            b"zz",
        ),
        *(b"@0.5:2", b":3", b":", b"x:4", b"c", b"g:-5", b"ms:6:7"),
    ]
)
LINES = st.one_of(
    st.builds(
        lambda name, values, kind, fields: name + b":" + b":".join(values) + b"|" + b"|".join([kind, *fields]),
        NAMES,
        st.lists(VALUES, min_size=1, max_size=3),
        st.sampled_from([b"c", b"ms", b"h", b"g", b"g", b"s", b"q", b"", b"c:2", b"g:+3"]),
        st.lists(FIELDS, max_size=3),
    ),
    st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")),
)
REPEATED = st.tuples(LINES, st.integers(1, 4)).map(lambda pair: [pair[0]] * pair[1])
TAGS_IN_NAME = re.compile(rb"[^:]*[,;\[][^:]*=")
"""The reference does not know them. Nearly no text of random bytes has them, and tests of their own do."""
PACKETS = st.lists(REPEATED, max_size=8).map(
    lambda groups: b"\n".join(line for group in groups for line in group if not TAGS_IN_NAME.match(line))
)
