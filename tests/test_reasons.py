"""What a probe and the doctor can say is in the documentation, and the documentation says nothing that they cannot."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

from central.access.redis_limit import LIMIT_SECONDS
from central.spill.spill import SECONDS, SpillState
from central.store.mysql.replication import HIDDEN
from central.store.mysql.servers import NO_SEMI_SYNC
from central.store.outage_guard import LATE_SECONDS
from central.write.group_commit import WAIT_SECONDS
from tests.central.harness import running
from tests.central.redis_help import environ_of
from tests.doc_pages import ROOT
from tests.redis_server import redis_server

STORES = ("outage_guard.py", "mysql/pool.py", "mysql/connection.py", "mysql/servers.py", "duck/engine.py")
"""Where a store that is asked whether it is there gets its words from."""
PAGE = (ROOT / "docs" / "operations.md").read_text()
READY = PAGE.partition("### `/ready` of the service")[2].partition("\n### ")[0]
REPLICATION = PAGE.partition("### What it says of replication")[2].partition("\n### ")[0]


def calls(path: str, *functions: str) -> Iterator[ast.Call]:
    """Every call of one of these."""
    for node in ast.walk(ast.parse((ROOT / "central" / path).read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in functions:
            yield node


def texts(nodes: Iterable[ast.expr]) -> set[str]:
    """Those that are text, with X where a value goes."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.JoinedStr):
            found.add("".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values))
    return found


def returned(path: str, function: str) -> set[str]:
    """The texts that a function returns."""
    for node in ast.walk(ast.parse((ROOT / "central" / path).read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            return texts(part.value for part in ast.walk(node) if isinstance(part, ast.Return) and part.value)
    raise AssertionError(function)


def choices(value: ast.expr) -> list[ast.expr]:
    """What an expression can be."""
    return choices(value.body) + choices(value.orelse) if isinstance(value, ast.IfExp) else [value]


def assigned(path: str, name: str) -> set[str]:
    """The texts that a name, or an attribute, can be given."""
    return {
        text
        for node in ast.walk(ast.parse((ROOT / "central" / path).read_text()))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).rpartition(".")[2] == name
        for text in texts(choices(node.value))
    }


def reasons() -> set[str]:
    """What /ready can say of a dependency, as far as the words are ours."""
    of_stores = {
        text
        for name in STORES
        for call in calls(f"store/{name}", "StoreUnavailable", "TooSlow", "StoreError", "Lost", "_went_down")
        for text in texts(call.args[:1])
    }
    of_redis = texts(argument for call in calls("spill/spill.py", "_closed") for argument in call.args)
    of_redis |= {str(SpillState().fault), *assigned("spill/spill.py", "_no_room")}
    for path, function in (
        ("spill/durability", "durability_fault"),
        ("spill/durability", "replica_fault"),
        ("spill/durability", "memory_fault"),
        ("spill/durability", "late"),
        ("redis_services", "fault"),
    ):
        of_redis |= returned(f"{path}.py", function)
    of_redis |= texts(argument for call in calls("redis_link.py", "RedisDown") for argument in call.args)
    return of_stores | of_redis


def reasons_of_replication() -> set[str]:
    """What /ready can say of the replication of a server, as far as the words are ours."""
    found = returned("store/mysql/reads.py", "unfit") | {HIDDEN, NO_SEMI_SYNC}
    for path, name in (
        ("replication", "Replica"),
        ("servers", "ReplicationHealth"),
        ("reads", "ReadState"),
        ("reads", "StoreUnavailable"),
    ):
        for call in calls(f"store/mysql/{path}.py", name):
            found |= texts(
                value for argument in (*call.args, *(one.value for one in call.keywords)) for value in choices(argument)
            )
    return found


def pattern(documented: str) -> re.Pattern[str]:
    """A text of the documentation, in which three dots stand for anything."""
    return re.compile(".+?".join(map(re.escape, documented.split("..."))))


def test_every_reason_of_ready_is_explained_and_no_other() -> None:
    known = reasons()
    rows = re.findall(r"^\| `([^`]+)` \|", READY.partition("The next table ")[2], re.MULTILINE)
    assert len(known) >= 20
    matched = {row: {reason for reason in known if pattern(row).fullmatch(reason)} for row in rows}
    assert sorted(known - set().union(*matched.values())) == [], "explain them under /ready in docs/operations.md"
    assert [row for row, found in matched.items() if not found] == []


def test_every_reason_of_replication_is_explained_and_no_other() -> None:
    known = reasons_of_replication()
    rows = re.findall(r"^\| `([^`]+)` \|", REPLICATION, re.MULTILINE)
    assert len(known) >= 10
    matched = {row: {reason for reason in known if pattern(row).fullmatch(reason)} for row in rows}
    assert sorted(known - set().union(*matched.values())) == [], "explain them in docs/operations.md"
    assert [row for row, found in matched.items() if not found] == []


async def test_what_ready_and_health_answer_is_explained(tmp_path: Path) -> None:
    async with (
        redis_server(tmp_path / "redis") as redis,
        running(tmp_path / "data", environ_of(redis.port)) as central,
    ):
        ready = (await central.ask("GET", "/ready", key=None)).json
        health = await central.ask("GET", "/health", key=None)
    assert f"200 with `{health.text}`" in READY
    named = {f"{outer}.{inner}" for outer in ("dependencies", "spill") for inner in ready[outer]}
    named.add("dependencies.replication")  # only with several servers, as in tests/central/store/mysql/test_reads.py
    assert named == set(re.findall(r"`((?:dependencies|spill)\.\w+)", READY))
    states = assigned("web/probes.py", "status")
    assert "not ready" in states
    assert [state for state in states if f"`{state}`" not in READY] == []


# --- the doctor


def checks() -> dict[str, set[str]]:
    """What each check of the doctor can be, by its name as in the code, X where a value goes."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for name in ("judge.py", "servers.py", "probe.py", "command.py"):
        for function in ast.walk(ast.parse((ROOT / "central" / "doctor" / name).read_text())):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            parts = list(ast.walk(function))
            assignments = [part for part in parts if isinstance(part, ast.Assign)]
            own = texts(part.value for part in assignments if ast.unparse(part.targets[0]) == "check")
            for call in (part for part in parts if isinstance(part, ast.Call) and part.args):
                # One of these, or a choice between them.
                named = {part.id for part in ast.walk(call.func) if isinstance(part, ast.Name)}
                for check in texts(call.args[:1]) or own:
                    found[check] |= named & {"ok", "warning", "fails"}
    return {check: kinds for check, kinds in found.items() if kinds}


def test_every_check_of_the_doctor_is_in_the_docs() -> None:
    known = checks()
    page = (ROOT / "docs" / "doctor.md").read_text()
    rows = re.findall(r"^\| `([^`]+)` \| [^|]+ \| ([^|]*)\| ([^|]*)\|$", page, re.MULTILINE)
    assert len(rows) > 20
    used = set()
    for name, warns, fails in rows:
        of_many = next((check for check in known if re.fullmatch(check.replace("X", ".+"), name)), name)
        check = name if name in known else of_many
        used.add(check)
        kinds = known[check]
        assert (bool(warns.strip()), bool(fails.strip())) == ("warning" in kinds, "fails" in kinds), name
    assert set(known) - used == set()


def test_how_long_a_post_waits_is_what_the_docs_say() -> None:
    page = (ROOT / "docs" / "reliability.md").read_text().partition("## How long a POST waits")[2].partition("\n## ")[0]
    for words in (
        f"the service notices it after {LATE_SECONDS:g} s",
        f"Redis is given {LIMIT_SECONDS * 1000:g} ms for limits and {SECONDS:g} s for the spill",
        f"No request waits for more than {WAIT_SECONDS:g} s",
    ):
        assert words in " ".join(page.split())
