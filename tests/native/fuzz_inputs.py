"""Inputs of the fuzzer: the corpora of the tests, changed at random, and rows at the edges of 64 bits."""

import json
from random import Random
from typing import Final

from central.store.base import Row
from protocol.histogram import bucket_of, encode, to_text
from tests.agent.aggregate.test_core_agrees import STATSD
from tests.central.ingest.test_single import EVERYDAY as SINGLES
from tests.central.ingest.test_single import UNUSUAL as UNUSUAL_SINGLES
from tests.central.ingest.test_submission import EVERYDAY, NOW, UNUSUAL

_LINE_PIECES: Final = [
    *(
        b":",
        b"|",
        b"|c",
        b"|ms",
        b"|g",
        b"|s",
        b"|h|@0.1",
        b"|!",
        b"#a:b",
        b"\n",
        b"\r\n",
        b"\r",
        b"\0",
        b"-",
        b"+",
        b".",
    ),
    *(b"0", b"1", b"999", b"1000", b"999999999999", b"1000000000000", b"9999999999999999999", b"1e5", b"0000000000001"),
    *(
        b"0.000000000000000001",
        b"999999999999.9999999",
        b"-0",
        b"a" * 300,
        b":1" * 200,
        b"\xff",
        b"a:1|c\n",
        b"a:2.5|ms\n",
    ),
]
_BODY_PIECES: Final = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\0", b"\xc3\xa4", b"null", b"true", b"-", b"."),
    *(b'"name":"a",', b'"type":"counter",', b'"value":', b'"count":', b'"min":', b'"max":', b'"metrics":', b'"a":'),
    *(b'"tags":{', b'"tags":{"a":"b"},', b'"a":"",', b'"b.c/d":"|"', b'"' + b"k" * 64 + b'":"', b"v" * 200),
    *(
        b'"recorded_at":"2026-02-14T23:59:59Z",',
        b"9999-12-31T23:59:59Z",
        b"2024-02-29",
        b"0000-00-00",
        b"99999999999999",
    ),
    *(
        b"0",
        b"00",
        b"1.5",
        b"0.00005",
        b"0.00015",
        b"1e2",
        b"-0.0",
        b"a" * 255,
        b'{"name":"a","type":"value","value":1}',
    ),
]
_NUMBERS: Final = [
    0,
    1,
    -1,
    4_999,
    10_000,
    10**20 - 1,
    1 - 10**20,
    2**63 - 1,
    -(2**63),
    2**63,
    -(2**63) - 1,
    2**64,
    2**70,
]
_TIMES: Final = [
    NOW,
    NOW + 59,
    NOW + 60,
    NOW - 1,
    0,
    -1,
    -62_135_596_800,
    -62_135_596_801,
    253_402_300_799,
    253_402_300_800,
]
_IDS: Final = [0, 1, 2**43 << 20, 2**63, 2**64 - 2, 2**64 - 1, 2**64, -1]


def packet(dice: Random) -> bytes:
    """Some lines of the peers, changed or not; now and then very many names, as many as the core learns at once."""
    if dice.random() < 0.05:
        first, count = dice.choice((0, 0, 400, 800)), dice.choice((255, 257, 500))
        return b"\n".join(b"name.%d:%d|c" % (number, number) for number in range(first, first + count))
    if dice.random() < 0.2:
        return b"\n".join(_of_few(dice) for _ in range(dice.choice((3, 30, 300))))
    lines = [_changed(dice, dice.choice(STATSD), _LINE_PIECES, STATSD) for _ in range(dice.choice((1, 1, 3, 30)))]
    return b"\n".join(lines) * dice.choice((1, 1, 1, 5))


def _of_few(dice: Random) -> bytes:
    """A line of a gauge or a set, of which there are few."""
    name, value = (
        dice.choice((b"a", b"b", b"a/x", b"a-x", b"n" * 40)),
        dice.choice((b"1", b"2.50", b"-3", b"+4", b"1e3")),
    )
    if dice.random() < 0.3:
        return name + b":" + dice.choice((value, b"x", b"x" * 64, b"x" * 65, b"1:2")) + b"|s"
    return name + b":" + value + b"|g" + dice.choice((b"", b"", b"|#", b"|#t:v", b":1|c", b"|c:x"))


def body(dice: Random) -> bytes:
    """A batch, everyday or not, changed or not."""
    if dice.random() < 0.3:
        entries = [_entry(dice) for _ in range(dice.choice((1, 2, 40, 1_000)))]
        return _changed(dice, json.dumps({"metrics": entries}).encode(), _BODY_PIECES, EVERYDAY)
    return _changed(dice, dice.choice([*EVERYDAY, *EVERYDAY, *UNUSUAL]), _BODY_PIECES, EVERYDAY)


def single(dice: Random) -> bytes:
    """The body of one metric, everyday or not, changed or not."""
    return _changed(dice, dice.choice([*SINGLES, *SINGLES, *UNUSUAL_SINGLES]), _BODY_PIECES, SINGLES)


def rows(dice: Random) -> list[Row]:
    """Rows of a group; most fit into 64 bits."""
    few = _NUMBERS[:9] if dice.random() < 0.8 else _NUMBERS
    times = _TIMES[:7] if dice.random() < 0.8 else _TIMES

    def number() -> int:
        return dice.choice(few) if dice.random() < 0.5 else dice.randrange(-(10**12), 10**12)

    def row() -> Row:
        summary = (abs(number()) + 1, number(), number()) if dice.random() < 0.4 else (None, None, None)
        at = dice.choice(times) if dice.random() < 0.3 else NOW + dice.randrange(-4_000, 4_000)
        made = Row(dice.randrange(5), at, number(), *summary)._replace(series_id=dice.choice((0, 0, 2**40, 2**40 + 1)))
        has_histogram = made.weight is not None and dice.random() < 0.3
        return made._replace(histogram=dice.randbytes(dice.choice((1, 60, 5_000)))) if has_histogram else made

    return [row() for _ in range(dice.choice((0, 1, 2, 30, 2_000)))]


def base(dice: Random) -> int:
    """The id of the first point of a group."""
    return dice.choice(_IDS)


def _entry(dice: Random) -> dict[str, object]:
    entry: dict[str, object] = {"name": f"n{dice.randrange(50)}", "type": dice.choice(("value", "counter"))}
    entry["value"] = dice.choice((0, 1, -1.5, 0.00005, 99_999_999_999_999, 1e15))
    if dice.random() < 0.5:
        entry |= {"count": dice.randrange(1, 9), "min": -5, "max": dice.choice((-5, 7.25))}
        if dice.random() < 0.5:
            entry["histogram"] = to_text(encode({bucket_of(-50_000): 10_000, dice.choice((-2000, 0, 1640)): 10_000}))
    if dice.random() < 0.4:
        keys = [dice.choice("abAZ_.9/-é") + dice.choice(("", "x", "x" * 63)) for _ in range(dice.choice((0, 1, 3, 21)))]
        entry["tags"] = {key: dice.choice(("", "b", "c:d", "{}", "e,f", "\x7f", "v" * 200, 1)) for key in sorted(keys)}
    if dice.random() < 0.9:
        entry["recorded_at"] = f"2026-02-{dice.randrange(9, 16):02}T{dice.randrange(24):02}:00:{dice.randrange(60):02}Z"
    return entry


def _changed(dice: Random, text: bytes, pieces: list[bytes], others: list[bytes]) -> bytes:
    for _ in range(dice.choice((0, 0, 1, 1, 2, 6))):
        at, to = sorted((dice.randrange(len(text) + 1), dice.randrange(len(text) + 1)))
        change = dice.randrange(6)
        if change == 0:
            text = text[:at] + dice.choice(pieces) + text[at:]
        elif change == 1:
            text = text[:at] + dice.randbytes(1) + text[at + 1 :]
        elif change == 2:
            text = text[:at] + text[min(to, at + 4) :]
        elif change == 3:
            text = text[:to] + text[at:to][:100] + text[to:]
        elif change == 4:
            text = text[:at] + dice.choice(others)[-(dice.randrange(20) + 1) :]
        else:
            text = text[:at] + dice.choice(pieces) + text[min(to, at + 8) :]
    return text
