"""central/web/compression.py: which encoding a client accepts, and large answers over HTTP."""

import gzip
import json
from collections.abc import Callable

import aiohttp
import pytest
import zstandard

from central.ingest.answers import Answer
from central.web.compression import LARGE, compressed, preferred
from tests.central.harness import Central

EXPAND: dict[str | None, Callable[[bytes], bytes]] = {
    "gzip": gzip.decompress,
    "zstd": zstandard.decompress,
    None: bytes,
}
WEEK = {"name": "nobody", "operation": "sum", "window": "1m", "fill": "zero"}
RANGE = {"start": "2026-02-14", "end": "2026-02-21"}


@pytest.mark.parametrize(
    ("header", "encoding"),
    [
        ("", None),
        ("identity", None),
        ("br", None),
        ("deflate", None),
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("GZIP", "gzip"),
        ("zstd", "zstd"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip;q=1.0, zstd;q=0.5", "gzip"),
        ("gzip ; q=0.5 , identity ; q=0.4", "gzip"),
        ("gzip;q=0.5, identity;q=1", None),
        ("gzip;q=0", None),
        ("gzip;q=nonsense", None),
        ("*", "zstd"),
        ("*;q=0", None),
        ("zstd;q=0, *", "gzip"),
        (",;,=", None),
    ],
)
def test_the_way_that_a_client_likes_best(header: str, encoding: str | None) -> None:
    assert preferred(header) == encoding


@pytest.mark.parametrize(("size", "encoding"), [(0, None), (LARGE - 1, None), (LARGE, "gzip"), (1 << 20, "gzip")])
async def test_only_a_large_answer_is_compressed(size: int, encoding: str | None) -> None:
    answer = await compressed(Answer(200, bytes(size), {"Vary": "Accept"}), "gzip")
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.headers["Vary"] == ("Accept" if encoding is None else "Accept, Accept-Encoding")
    assert EXPAND[encoding](answer.body) == bytes(size)


@pytest.mark.parametrize("wanted", ["json", "csv"])
@pytest.mark.parametrize("encoding", ["gzip", "zstd", None])
async def test_a_large_answer_over_http(central: Central, encoding: str | None, wanted: str) -> None:
    headers = {"X-API-Key": central.key, "Accept-Encoding": encoding or "identity"}
    async with aiohttp.ClientSession(auto_decompress=False, headers=headers) as http:
        url, query = f"{central.url}/api/metrics/aggregate", {**WEEK, **RANGE, "format": wanted}
        async with http.get(url, params=query) as reply:
            sent = await reply.read()
        assert reply.headers.get("Content-Encoding") == encoding
        assert reply.headers["Vary"] == "Accept, Accept-Encoding"
        text = EXPAND[encoding](sent).decode()
    whole = len(text.splitlines()) - 1 if wanted == "csv" else len(json.loads(text)["data"])
    assert whole == 7 * 1440
    assert encoding is None or len(sent) * 5 < len(text)
