"""Bodies through real HTTP: JSON or not, compressed, cut short, too large, decompression bombs."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import zstandard
from multidict import CIMultiDict

from protocol.limits import MAX_BODY_BYTES, MAX_EXPANDED_BYTES
from tests.central.harness import Central, Reply, now_text, process

COUNTER = "/api/metrics/counter"
VALUE = "/api/metrics/value"
BATCH = "/api/metrics/batch"
KEYS = "/api/admin/keys"
RESTORE = "/api/admin/retention/restore"


# --- bodies


async def test_a_body_that_is_no_json_is_refused(central: Central) -> None:
    table: dict[bytes, tuple[int, str, str | None]] = dict.fromkeys(
        [
            b"",
            b" ",
            b"{",
            b'{"name":"c"',
            b'{"name":"c"} x',
            b'{"name":"c"}{}',
            b"name=c&value=1",
            b"{'name':'c'}",
            b'{"name":"c",}',
            b'{"name":"c"}\0',
            b'{"name":"\xff"}',
            b'{"name":"\xed\xa0\x80"}',
            b'{"name":"\\ud800"}',
            b'\xef\xbb\xbf{"name":"c"}',
            '{"name":"c"}'.encode("utf-16"),
            b"[" * 100_000,
            b"[" * 100_000 + b"]" * 100_000,
            b'{"name":' * 100_000,
            b'{"name":"c","value":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        ],
        (400, "INVALID_JSON", "body"),
    )
    for path in (COUNTER, VALUE, BATCH):
        assert {body[:40]: (await central.post(path, body)).error for body in table} == {
            body[:40]: error for body, error in table.items()
        }


async def test_a_field_given_twice_is_refused_and_nothing_is_stored(central: Central) -> None:
    good = '{"name":"twice","type":"counter","value":1}'
    table = {
        (COUNTER, '{"name":"twice","value":1,"value":1}'): "value",
        (COUNTER, '{"name":"other","name":"twice"}'): "name",
        (
            VALUE,
            '{"name":"twice","value":1,"recorded_at":"%s","recorded_at":"%s"}' % ((now_text(),) * 2),
        ): "recorded_at",
        (VALUE, '{"name":"twice","value":1,"value":{"a":1,"a":2}}'): "a",
        (BATCH, f'{{"metrics":[{good}],"metrics":[{good}]}}'): "metrics",
        (BATCH, f'{{"metrics":[{good},{good[:-1]},"value":2}}]}}'): "value",
        (BATCH, f'{{"metrics":[{good},{{"a":{{"b":1,"b":1}}}}]}}'): "b",
        (KEYS, '{"name":"n","name":"m"}'): "name",
        (KEYS, '{"name":"n","scopes":["query"],"scopes":["admin"]}'): "scopes",
        (RESTORE, '{"days":9,"days":95}'): "days",
    }
    for (path, body), field in table.items():
        for options in (
            {"data": body},
            {"data": gzip.compress(body.encode()), "headers": {"Content-Encoding": "gzip"}},
        ):
            reply = await central.ask("POST", path, **options)
            assert reply.error == (400, "VALIDATION_ERROR", field), (path, body, reply.text)
            assert f"the field {field!r} is given twice" in reply.message
    assert await central.total("twice") == 0
    assert len((await central.ask("GET", KEYS)).json["data"]) == 1


async def test_gzip_and_zstd_bodies_are_read(central: Central) -> None:
    body = b'{"name":"c","value":2}'
    for encoding, packed in (
        ("gzip", gzip.compress(body)),
        ("x-gzip", gzip.compress(body)),
        ("GZIP", gzip.compress(body[:9]) + gzip.compress(body[9:])),
        ("zstd", zstandard.compress(body)),
        ("identity", body),
    ):
        reply = await central.post(COUNTER, packed, headers={"Content-Encoding": encoding})
        assert reply.status == 201, (encoding, reply.text)
    assert await central.total("c") == 10


async def test_a_large_compressed_batch_is_read(central: Central) -> None:
    items = [{"name": f"{'n' * 240}{i}", "type": "value", "value": i} for i in range(1000)]
    body = json.dumps({"metrics": items}).encode()
    packed = zstandard.compress(body, level=1) + zstandard.compress(b" " * 200_000)
    reply = await central.post(BATCH, packed, headers={"Content-Encoding": "zstd"})
    assert reply.json["accepted"] == 1000


async def test_a_torn_or_false_encoding_is_refused(central: Central) -> None:
    body = b'{"name":"c","value":2}'
    zipped, packed = gzip.compress(body), zstandard.compress(body)
    cases = {
        "torn gzip": ("gzip", zipped[:-3]),
        "torn zstd": ("zstd", packed[:-3]),
        "flipped gzip": ("gzip", zipped[:-8] + bytes([zipped[-8] ^ 1]) + zipped[-7:]),
        "garbage after gzip": ("gzip", zipped + b"garbage"),
        "garbage after zstd": ("zstd", packed + b"garbage"),
        "a byte after zstd": ("zstd", packed + b"g"),
        "plain as gzip": ("gzip", body),
        "plain as zstd": ("zstd", body),
        "gzip as zstd": ("zstd", zipped),
    }
    got = {
        case: (await central.post(COUNTER, sent, headers={"Content-Encoding": encoding})).error
        for case, (encoding, sent) in cases.items()
    }
    assert got == dict.fromkeys(cases, (400, "VALIDATION_ERROR", "Content-Encoding"))
    assert await central.total("c") == 0


@pytest.mark.parametrize("encoding", ["br", "deflate", "compress", "é ;", "gzip, zstd", "gzip,gzip", "zstd;q=1"])
async def test_an_unknown_encoding_is_415_and_names_the_known_ones(central: Central, encoding: str) -> None:
    reply = await central.post(COUNTER, b'{"name":"c","value":2}', headers={"Content-Encoding": encoding})
    assert reply.error == (415, "UNSUPPORTED_ENCODING", "Content-Encoding")
    assert reply.headers["Accept-Encoding"] == "gzip, zstd"
    assert await central.total("c") == 0


async def test_encodings_stacked_in_two_headers_are_refused(central: Central) -> None:
    headers = CIMultiDict([("X-API-Key", central.key), ("Content-Encoding", "gzip"), ("Content-Encoding", "zstd")])
    body = gzip.compress(b'{"name":"c"}')
    async with central.http.post(central.url + COUNTER, data=body, headers=headers) as answer:
        reply = Reply(answer.status, answer.headers, await answer.text())
    assert reply.error == (415, "UNSUPPORTED_ENCODING", "Content-Encoding")


def padded(length: int) -> bytes:
    body = b'{"name":"c","value":1}'
    return body + b" " * (length - len(body))


async def chunks(body: bytes) -> Any:
    for start in range(0, len(body), 60_000):
        yield body[start : start + 60_000]


async def test_a_body_may_be_a_mebibyte_and_no_byte_more(central: Central) -> None:
    too_large = (413, "BODY_TOO_LARGE", "body")
    assert (await central.post(COUNTER, padded(MAX_BODY_BYTES))).status == 201
    assert (await central.post(COUNTER, padded(MAX_BODY_BYTES + 1))).error == too_large
    for length, status in ((MAX_BODY_BYTES, 201), (MAX_BODY_BYTES + 1, 413), (3 * MAX_BODY_BYTES, 413)):
        reply = await central.ask("POST", COUNTER, data=chunks(padded(length)))
        assert (length, reply.status) == (length, status)
    for path in (COUNTER, VALUE, BATCH):
        assert (await central.post(path, padded(5_000_000))).error == too_large
        assert (await central.ask("POST", path, data=chunks(padded(5_000_000)))).error == too_large
    assert (await central.counter("c")).status == 201


async def test_a_body_may_expand_to_eight_mebibytes_and_no_byte_more(central: Central) -> None:
    for encoding, pack in (("gzip", gzip.compress), ("zstd", zstandard.compress)):
        headers = {"Content-Encoding": encoding}
        assert (await central.post(COUNTER, pack(padded(MAX_EXPANDED_BYTES)), headers=headers)).status == 201
        reply = await central.post(COUNTER, pack(padded(MAX_EXPANDED_BYTES + 1)), headers=headers)
        assert reply.error == (413, "BODY_TOO_LARGE", "body")


async def test_bombs_are_refused_and_memory_stays_flat(tmp_path: Path) -> None:
    zeros = bytes(64 << 20)
    bombs = {
        "gzip": gzip.compress(zeros) * 15,  # 960 MiB in less than one
        "zstd": zstandard.compress(zeros) * 100,  # 6.4 GiB
    }
    async with process(tmp_path) as (server, central):
        assert (await central.counter("before")).status == 201
        before = server.memory_peak()
        for _ in range(4):
            for encoding, bomb in bombs.items():
                assert len(bomb) <= MAX_BODY_BYTES
                reply = await central.post(BATCH, bomb, headers={"Content-Encoding": encoding})
                assert reply.error == (413, "BODY_TOO_LARGE", "body")
        assert server.memory_peak() - before < 8 * MAX_EXPANDED_BYTES


async def test_a_deep_or_wide_body_is_no_way_to_fill_the_memory(tmp_path: Path) -> None:
    wide = gzip.compress(b'{"metrics":[' + b"{}," * 2_700_000 + b"{}]}")
    async with process(tmp_path) as (server, central):
        assert (await central.counter("before")).status == 201
        before = server.memory_peak()
        for _ in range(3):
            reply = await central.post(BATCH, wide, headers={"Content-Encoding": "gzip"})
            assert reply.error == (400, "BATCH_TOO_LARGE", "metrics")
        assert server.memory_peak() - before < 512 << 20
