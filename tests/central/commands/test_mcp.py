"""``fiesta-central mcp`` over real pipes, asked by the protocol's own client, beside a real service."""

import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from mcp import Client as Assistant
from mcp import StdioServerParameters
from mcp.client.stdio import stdio_client

from tests.central.commands.command_help import Run
from tests.central.harness import Central, process


@asynccontextmanager
async def assistant(**environ: str) -> AsyncIterator[Assistant]:
    """The client of a server process with these settings."""
    kept = {name: text for name, text in os.environ.items() if not re.match("METRICS_|DB_|REDIS_", name)}
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "central", "mcp"], env={**kept, "PYTHONPATH": str(Path.cwd()), **environ}
    )
    async with Assistant(stdio_client(command)) as client:
        yield client


async def said(client: Assistant, tool: str, **arguments: Any) -> Any:
    """The JSON that a tool answers; the text of an error."""
    result = await client.call_tool(tool, arguments)
    (content,) = result.content
    text = getattr(content, "text", "")
    return text if result.is_error else json.loads(text)


async def fill(central: Central) -> None:
    items = [
        {"name": "shop.orders", "type": "counter", "value": 3, "tags": {"country": "de"}},
        {"name": "shop.orders", "type": "counter", "value": 4, "tags": {"country": "fr"}},
        *({"name": "shop.checkout_ms", "type": "value", "value": value} for value in range(1, 101)),
        {"name": "?", "type": "counter", "value": 1},
    ]
    assert (await central.batch(*items)).status == 201


async def test_an_assistant_finds_aggregates_and_hears_what_was_lost(tmp_path: Path) -> None:
    async with process(tmp_path / "data") as (_, central):
        await fill(central)
        _, key = await central.new_key("query")
        async with assistant(METRICS_URL=central.url, METRICS_KEY=key) as client:
            tools = (await client.list_tools()).tools
            assert {tool.name for tool in tools} == {
                "find_names", "tags_of", "aggregate", "what_was_lost", "check_service",
            }  # fmt: skip
            assert all(tool.annotations is not None and tool.annotations.read_only_hint for tool in tools)
            found = await said(client, "find_names", search="ORDERS")
            assert [(name["name"], name["type"], name["tags"]) for name in found["data"]] == [
                ("shop.orders", "counter", ["country"])
            ]
            assert (await said(client, "tags_of", name="shop.orders", key="country"))["data"]
            sums = await said(client, "aggregate", names="shop.orders", window="1d", group_by="country")
            assert {group["tags"]["country"]: group["points"][0]["value"] for group in sums["data"]} == {
                "de": 3,
                "fr": 4,
            }
            p95 = await said(client, "aggregate", names="shop.checkout_ms", operations="p95,count", window="1d")
            assert p95["data"][0]["count"] == 100
            assert abs(p95["data"][0]["p95"] - 95) < 0.4
            lost = await said(client, "what_was_lost")
            assert lost["service"]['fiesta_items_rejected_total{code="INVALID_NAME"}'] == 1
            assert "admin" in lost["agents"]
            assert (await said(client, "check_service"))["status"] == "ready"


WRONG: list[tuple[dict[str, str], str]] = [
    ({"names": "shop.orders", "operations": "p95"}, "shop.orders is a counter and has no p95"),
    ({"names": "shop.orders", "operations": "most"}, "'most' is not known"),
    ({"names": "shop.orders", "window": "7m"}, "window"),
    ({"names": "", "window": "1d"}, "name"),
]
"""Questions, and words of the answer."""


async def test_a_wrong_question_is_told_what_would_be_right(tmp_path: Path) -> None:
    async with process(tmp_path / "data") as (_, central):
        await fill(central)
        async with assistant(METRICS_URL=central.url, METRICS_KEY=central.key) as client:
            for arguments, says in WRONG:
                assert says in await said(client, "aggregate", **arguments), arguments


async def test_with_a_key_for_some_names_there_are_no_others(tmp_path: Path) -> None:
    """Every tool is asked in every way. What it says of a foreign name is the same as of one that does not exist."""
    foreign = [
        {"name": name, "type": "counter", "value": 7, "tags": {"secret": "hidden"}}
        for name in ("web.orders", "shop", "shopping.orders", "shop-2.orders")
    ]
    async with process(tmp_path / "data") as (_, central):
        await fill(central)
        assert (await central.batch(*foreign)).json["rejected"] == 0
        _, key = await central.new_key("query", names=["shop."])
        async with assistant(METRICS_URL=central.url, METRICS_KEY=key) as client:

            async def text_of(tool: str, **arguments: Any) -> str:
                return json.dumps(await said(client, tool, **arguments))

            questions: list[dict[str, Any]] = [
                *({"search": text} for text in ("", "o", "WEB", "secret", "shop")),
                *({"match": text} for text in ("*", "*.*", "web.*", "{web,shop,shopping}.orders", "shop*")),
                *({"after": text, "limit": 1} for text in ("shop.checkout_ms", "shop.orders", "web")),
            ]
            for given in questions:
                answer = await said(client, "find_names", **given)
                assert {name["name"] for name in answer["data"]} <= {"shop.orders", "shop.checkout_ms"}, given
                assert "secret" not in json.dumps(answer)
            for tool, arguments in (
                ("tags_of", {"name": "web.orders"}),
                ("tags_of", {"name": "web.orders", "key": "secret"}),
                ("tags_of", {"name": "web.orders", "key": "secret", "prefix": "h"}),
                ("aggregate", {"names": "web.orders"}),
                ("aggregate", {"names": "shop.orders,web.orders"}),
                ("aggregate", {"names": "web.orders", "group_by": "secret", "top": 1}),
                ("aggregate", {"names": "web.orders", "tags": "secret:*", "operations": "p95"}),
            ):
                asked = arguments | {"names" if tool == "aggregate" else "name": "web.nothing"}
                missing = await text_of(tool, **asked)
                assert "may not use the name" in missing
                assert (await text_of(tool, **arguments)) == missing.replace("web.nothing", "web.orders"), arguments
            for own in ({"tags": "secret:*"}, {"group_by": "secret"}, {"tags": "!country:de"}):
                assert "hidden" not in await text_of("aggregate", names="shop.orders", window="1d", **own)
            for tool in ("what_was_lost", "check_service"):
                assert not re.search(r"web\.|shopping|shop-2|hidden", await text_of(tool))


async def test_beside_the_service_the_doctor_is_asked(tmp_path: Path) -> None:
    async with process(tmp_path / "data") as (made, _):
        here = {"METRICS_LISTEN": f"127.0.0.1:{made.port}", "METRICS_DATA_DIR": str(tmp_path / "data")}
        async with assistant(**here) as client:
            findings = await said(client, "check_service")
            assert {"settings", "service"} <= {finding["check"] for finding in findings}
            assert (await said(client, "what_was_lost"))["agents"] == []


def test_without_a_key_it_says_so_and_ends(run: Run) -> None:
    result = run("mcp", METRICS_URL="http://127.0.0.1:1", METRICS_ADMIN_KEY=None)
    assert result.exit_code == 1
    assert "set METRICS_KEY, or give --key-file" in result.stderr
