"""fiesta-central names, patterns of query, and what shells complete."""

import json

import pytest

from central.commands.names import split_names
from tests.central.commands.command_help import Run, ok
from tests.central.fake_service import FakeService

ONE = {
    "name": "shop.orders",
    "type": "counter",
    "first_seen": "2026-02-15T00:00:00Z",
    "last_seen": "2026-02-15T01:00:00Z",
    "age_seconds": 90,
    "last_value": 3,
    "tags": ["env", "host"],
}
PATH = "GET /api/metrics?details=true"


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ([], "&limit=1000"),
        (["orders"], "&search=orders&limit=1000"),
        (["-i", "ORD", "--limit", "5"], "&search=ORD&ignore_case=true&limit=5"),
        (["shop.*"], "&match=shop.%2A&limit=1000"),
    ],
)
def test_names_are_listed_as_lines(run: Run, fake: FakeService, arguments: list[str], asked: str) -> None:
    fake.answer(PATH + asked, 200, ok(data=[ONE, {**ONE, "last_value": None, "tags": []}], next=None))
    result = run("names", *arguments)
    assert result.stdout.splitlines() == [
        "name\ttype\tfirst_seen\tlast_seen\tlast_value\ttags",
        "shop.orders\tcounter\t2026-02-15T00:00:00Z\t2026-02-15T01:00:00Z\t3\tenv,host",
        "shop.orders\tcounter\t2026-02-15T00:00:00Z\t2026-02-15T01:00:00Z\t-\t",
    ]
    assert result.stderr == ""


def test_pages_follow_each_other_up_to_the_limit(run: Run, fake: FakeService) -> None:
    fake.answer(f"{PATH}&limit=1000", 200, ok(data=[ONE] * 1000, next="z"))
    fake.answer(f"{PATH}&after=z&limit=500", 200, ok(data=[ONE] * 500, next="zz"))
    result = run("names", "--limit", "1500", "--json")
    assert len(json.loads(result.stdout)["data"]) == 1500
    assert "there are more names: the first 1,500 are listed" in result.stderr


def test_json_has_all_digits(run: Run, fake: FakeService) -> None:
    answer = '{"success": true, "data": [{"last_value": -9999999999999999.9999, "age_seconds": 7, "tags": ["1.5"]}]%s}'
    fake.answer(f"{PATH}&limit=1000", 200, (answer % ', "next": null').encode())
    assert run("names", "--json").stdout == f"{answer % ''}\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("shop.{a,b},c", ["shop.{a,b}", "c"]),
        ("{a,{b,c}},d,", ["{a,{b,c}}", "d", ""]),
    ],
)
def test_commas_in_braces_are_of_the_pattern(text: str, names: list[str]) -> None:
    assert split_names(text) == names


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("shop.*", "match=shop.%2A&operation=p95"),
        ("a,shop.*", "name=a&match=shop.%2A&operation=p95"),
        ("shop.*,x.{b,c}", "match=%7Bshop.%2A%2Cx.%7Bb%2Cc%7D%7D&operation=p95"),
    ],
)
def test_query_takes_patterns(run: Run, fake: FakeService, text: str, asked: str) -> None:
    answer = {"success": True, "metric": "", "operation": "p95", "window": "1m", "data": {}}
    fake.answer("GET /api/metrics/aggregate", 200, json.dumps(answer).encode())
    assert run("query", text, "--operation", "p95").exit_code == 0
    assert fake.asked[0][1].startswith(f"/api/metrics/aggregate?{asked}&window=1m")


def test_watch_is_for_terminals(run: Run) -> None:
    result = run("query", "a", "--watch")
    assert result.exit_code == 2
    assert "--watch draws on a terminal" in result.stderr


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_each_shell_has_its_completion(run: Run, shell: str) -> None:
    assert "_COMPLETE" in run("completion", shell).stdout


def test_names_are_completed_after_the_last_comma(run: Run, fake: FakeService) -> None:
    fake.answer("GET /api/metrics?prefix=shop.o&limit=50", 200, ok(data=[ONE], next=None))
    words = {"COMP_WORDS": "fiesta-central query a,shop.o", "COMP_CWORD": "2"}
    result = run(_MAIN_COMPLETE="bash_complete", _FIESTA_CENTRAL_COMPLETE="bash_complete", **words)
    assert "a,shop.orders" in result.stdout
    fake.answer("GET /api/metrics?prefix=shop.o&limit=50", 503, b"")
    result = run(_MAIN_COMPLETE="bash_complete", _FIESTA_CENTRAL_COMPLETE="bash_complete", **words)
    assert (result.stdout.strip(), result.stderr) == ("", "")
