"""What is installed is pinned, hashed, the same everywhere and as locked: the part of an audit that runs offline.

``make audit`` asks the databases of known vulnerabilities, where the machine can reach them.
"""

import json
import re
import subprocess
import tomllib
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "requirements").glob("*.txt"))
REQUIREMENT = re.compile(r"([a-z0-9-]+)(?:\[[a-z0-9,-]+\])?==([0-9][0-9A-Za-z.]*)(?: ; ([^\\]+?))? \\")
HASH = re.compile(r"    --hash=sha256:[0-9a-f]{64}(?: \\)?")
UNLOCKED = {"glowing-fiesta", "pip"}
"""Ourselves, and what came with the environment."""


def locked(path: Path) -> dict[str, str]:
    """Version by name."""
    found = (REQUIREMENT.fullmatch(line) for line in path.read_text().splitlines())
    return {match[1]: match[2] for match in found if match is not None}


def plain(name: str) -> str:
    """A package's name as the lock files write it."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def test_there_is_a_file_for_each_purpose() -> None:
    assert [path.stem for path in FILES] == ["build", "dev", "run", "tools"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_requirement_is_one_version_with_its_hashes(path: Path) -> None:
    hashes = 1
    for line in path.read_text().splitlines():
        if re.fullmatch(r"\s*#.*", line):
            continue
        if REQUIREMENT.fullmatch(line):
            assert hashes, f"no hash before {line}"
            hashes = 0
        else:
            assert HASH.fullmatch(line), line  # no index, no address, no folder, no range
            hashes += 1
    assert hashes


@pytest.mark.parametrize("name", ["run", "build"])
def test_what_runs_and_what_builds_is_what_was_tested(name: str) -> None:
    tested = locked(ROOT / "requirements" / "dev.txt")
    part = locked(ROOT / "requirements" / f"{name}.txt")
    assert part
    assert part.items() <= tested.items()


def test_everything_that_the_project_asks_for_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    run = {*project["project"]["dependencies"], *extras["central"]}
    for file, asked in (
        ("run", run),
        ("dev", run | {*extras["dev"]}),
        ("build", set(project["build-system"]["requires"])),
    ):
        names = {plain(re.split(r"[<>=~!; ]", text)[0]) for text in asked} - UNLOCKED
        assert names <= set(locked(ROOT / "requirements" / f"{file}.txt")), file


def test_what_is_installed_is_what_is_locked_and_nothing_else() -> None:
    wanted = locked(ROOT / "requirements" / "dev.txt")
    for name, text in wanted.items():
        try:
            assert version(name) == text, name
        except PackageNotFoundError:
            raise AssertionError(f"{name} is locked and not installed: run make install") from None
    installed = {plain(found.metadata["Name"]) for found in distributions()}
    assert installed - set(wanted) <= UNLOCKED


def test_every_package_of_node_has_its_hash() -> None:
    for path in ROOT.glob("tests/**/package-lock.json"):
        if "node_modules" not in path.parts:
            packages = json.loads(path.read_text())["packages"]
            unhashed = [name for name, package in packages.items() if name and "sha512-" not in package["integrity"]]
            assert unhashed == []


def test_make_installs_from_the_lock_file_only() -> None:
    makefile = (ROOT / "Makefile").read_text() + (ROOT / "Dockerfile").read_text()
    for line in re.findall(r"^.*\bpip install\b.*$", makefile, re.MULTILINE):
        assert "--require-hashes" in line or "--no-deps" in line, line


def test_every_tool_that_make_brings_is_locked() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for variable, file in (("BIN", "dev"), ("TOOLS", "tools")):
        run = set(re.findall(rf"\$\({variable}\)(?:/bin)?/([a-z][a-z-]+)", makefile)) - {"pip", "python", "bin"}
        assert run, variable
        assert run <= set(locked(ROOT / "requirements" / f"{file}.txt")), file


def test_make_lock_upgrades_the_packages_that_you_name_and_no_others() -> None:
    def commands(*arguments: str) -> list[str]:
        done = subprocess.run(
            ["make", "--dry-run", "lock", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
        return [line for line in done.stdout.splitlines() if "--output-file" in line]

    assert len(commands()) == len(FILES)
    assert not [line for line in commands() if "--upgrade" in line]
    upgrades = [re.findall(r"--upgrade\S* (\S+)", line) for line in commands("UPGRADE=aiohttp redis")]
    assert upgrades == [["aiohttp", "redis"]] * len(FILES)


def test_make_lock_writes_hashes_and_no_index() -> None:
    """What ``make lock`` resolves names no index: where packages come from is for the machine to say."""
    (compile_command,) = re.findall(
        r"^COMPILE := (.+?[^\\])$", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL
    )
    assert {"--generate-hashes", "--no-emit-index-url", "--no-emit-find-links"} <= set(compile_command.split())
