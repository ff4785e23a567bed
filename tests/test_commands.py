"""Every command of both programs with input that cannot work: one clear line on stderr, an exit code, no traceback."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

import agent.commands.main as agent_cli
import central.commands.main as central_cli
from tests.ports import free_port

PROGRAMS: dict[str, click.Command] = {
    "fiesta-central": central_cli.main,
    "fiesta-agent": agent_cli.main,
}
ARGUMENTS = {
    "create": ["a"],
    "revoke": ["1"],
    "rotate": ["1"],
    "change": ["1", "--rate-limit", "5"],
    "query": ["a"],
    "export": ["a", "--start", "-1h", "-o", "a.parquet"],
    "completion": ["zsh"],
    "backup": ["a.duckdb"],
    "send": ["a:1|c"],
}
ASK_CENTRAL = {"keys create", "keys list", "keys revoke", "keys rotate", "keys change", "query", "backup"}
ASK_CENTRAL |= {"retention show", "retention run", "retention restore"}


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command that does something."""
    if not isinstance(command, click.Group):
        yield path
        return
    for name, child in command.commands.items():
        yield from leaves(child, (*path, name))


COMMANDS = [(program, path) for program, command in PROGRAMS.items() for path in leaves(command)]
commands = pytest.mark.parametrize(("program", "path"), COMMANDS, ids=[" ".join((p, *c)) for p, c in COMMANDS])


def run(program: str, *arguments: str, environ: Mapping[str, str | None] | None = None) -> Result:
    """In this process, with no settings of ours but those given; an exception that got out fails the test."""
    result = CliRunner(env=dict(environ or {})).invoke(PROGRAMS[program], arguments, prog_name=program)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert "Traceback" not in result.output
    return result


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unknown_command_is_named_and_the_help_is_pointed_at(program: str) -> None:
    result = run(program, "bogus")
    assert result.exit_code == 2
    assert "bogus" in result.stderr
    assert f"{program} --help" in result.stderr


@commands
def test_an_unknown_option_is_named(program: str, path: tuple[str, ...]) -> None:
    result = run(program, *path, *ARGUMENTS.get(path[-1], []), "--bogus")
    assert result.exit_code == 2
    assert "--bogus" in result.stderr
    assert "--help" in result.stderr


@commands
def test_an_unknown_setting_is_named_by_every_command(program: str, path: tuple[str, ...]) -> None:
    name = "METRICS_BOGUS" if program == "fiesta-central" else "FIESTA_AGENT_BOGUS"
    result = run(program, *path, *ARGUMENTS.get(path[-1], []), environ={name: "1"})
    assert result.exit_code == 2
    assert f"{name} is not a setting" in result.output


@commands
def test_every_help_has_its_usage_and_says_something(program: str, path: tuple[str, ...]) -> None:
    result = run(program, *path, "--help")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) > 5
    assert result.stdout.startswith(f"Usage: {program} {' '.join(path)}")


@pytest.mark.parametrize(
    ("program", "typed", "completed"),
    [
        ("fiesta-agent", "sp", "spool"),
        ("fiesta-agent", "spool re", "replay"),
        ("fiesta-agent", "check --conf", "--config"),
        ("fiesta-central", "retention re", "restore"),
        ("fiesta-central", "export --w", "--window"),
    ],
)
def test_bash_completes_commands_and_options(program: str, typed: str, completed: str) -> None:
    """Bash runs the function that it would run for the Tab key, and that asks the installed program."""
    words = [program, *typed.split()]
    script = (
        f'eval "$({program} completion bash)"; COMP_WORDS=({" ".join(words)}); COMP_CWORD={len(words) - 1};'
        f" _{program.replace('-', '_')}_completion {program}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-c", script], env={"PATH": path}, capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.returncode) == ([completed], 0), done.stderr


@pytest.mark.parametrize("path", sorted(ASK_CENTRAL))
def test_without_a_key_it_says_where_one_comes_from(path: str) -> None:
    result = run("fiesta-central", *path.split(), *ARGUMENTS.get(path.rsplit(maxsplit=1)[-1], []))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no admin key at data/admin.key" in result.stderr
    assert "METRICS_ADMIN_KEY" in result.stderr


@pytest.mark.parametrize("path", sorted(ASK_CENTRAL))
def test_without_a_service_it_says_where_it_looked_and_how_to_start_one(path: str) -> None:
    port = free_port()
    environ = {"METRICS_ADMIN_KEY": "k" * 40, "METRICS_LISTEN": f"127.0.0.1:{port}"}
    result = run("fiesta-central", *path.split(), *ARGUMENTS.get(path.rsplit(maxsplit=1)[-1], []), environ=environ)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"no service answers at http://127.0.0.1:{port}" in result.stderr
    assert "fiesta-central serve" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["query", "a", "--start", "yesterday"], "-1h for an hour ago"),
        (["query", "a", "--end", "2026-02-30"], "'2026-02-30'"),
        (["query", "a", "--window", "2m"], "'15m'"),
        (["query", "a", "--operation", "p101"], "such as p99.9"),
        (["query"], "NAMES"),
        (["keys", "create"], "NAME"),
        (["keys", "create", "a", "--rate-limit", "0"], "x>=1"),
        (["keys", "create", "a", "--scope", "root"], "'ingest'"),
        (["keys", "revoke", "checkout"], "fiesta-central keys list"),
        (["retention", "restore", "--days", "0"], "x>=1"),
    ],
)
def test_a_wrong_argument_is_told_what_would_be_right(arguments: list[str], says: str) -> None:
    result = run("fiesta-central", *arguments, environ={"METRICS_ADMIN_KEY": "k" * 40})
    assert result.exit_code == 2
    assert says in result.stderr


@pytest.mark.parametrize("path", [["serve"], ["migrate"]])
@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"DB_CONNECTION": "mysql", "DB_PORT": "1"}, "fiesta-central doctor"),
        ({"METRICS_DATA_DIR": "/proc/nowhere"}, "name a folder that this user may make and write"),
    ],
)
def test_a_store_that_cannot_be_used_says_what_to_look_at(path: list[str], environ: dict[str, str], says: str) -> None:
    """In a process of its own: these set up the log for the whole process."""
    command = [sys.executable, "-m", "central", *path]
    done = subprocess.run(command, env=os.environ | environ, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert says in done.stderr
    assert "Traceback" not in done.stderr
