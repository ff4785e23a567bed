"""What an outsider looks for in a repository: its terms, its releases, its style, and the hooks that keep it."""

import re
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from datetime import date
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
NOT_OURS = {".venv", "node_modules", "data", "dist", "build", "report", "__pycache__", "uplot"}
"""Folders that are not in the repository, the files of ``tests/data``, which programs wrote, and those of uPlot."""
SUFFIXES = {".c", ".cfg", ".conf", ".cnf", ".css", ".h", ".html", ".js", ".json", ".md", ".py", ".pyi", ".service"}
SUFFIXES |= {".sh", ".socket", ".sql", ".svg", ".toml", ".txt", ".yaml", ".yml"}
WITH_TABS = {Path("docs/guides/go.md")}
"""Beside the Makefile, which has no suffix."""


def texts(folder: Path = ROOT) -> Iterator[Path]:
    """The text files of the repository that people write."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in NOT_OURS and not re.fullmatch(r"\..*(cache|hypothesis|git)", path.name):
            yield from texts(path)
        elif path.suffix in SUFFIXES and path.is_file():
            yield path


# --- terms


def test_pyproject_names_the_terms_and_no_addresses() -> None:
    project = PYPROJECT["project"]
    assert project["license"] == "LicenseRef-Internal-Use"
    assert project["license-files"] == ["LICENSE"]
    assert "urls" not in project  # there is no public place to send a reader to


def test_the_terms_say_internal_use_first() -> None:
    first, *rest = (ROOT / "LICENSE").read_text().splitlines()
    assert "for internal use" in first
    assert any(line.startswith("Copyright ") for line in rest)


def test_registries_refuse_the_package() -> None:
    assert "Private :: Do Not Upload" in PYPROJECT["project"]["classifiers"]


# --- releases


def sections() -> list[tuple[str, str]]:
    """The heading of each release in the changelog and what is below it, the newest first."""
    parts = re.split(r"^## (.+)\n", (ROOT / "CHANGELOG.md").read_text(), flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


def test_the_changelog_begins_with_what_is_not_released() -> None:
    assert [heading for heading, _ in sections()].index("[Unreleased]") == 0


def test_no_entry_of_the_changelog_stands_twice() -> None:
    entries = [line for _, text in sections() for line in text.splitlines() if line.startswith("- ")]
    assert sorted(entries) == sorted(set(entries))


def test_the_newest_release_is_the_version_of_the_package() -> None:
    (newest, _) = sections()[1]
    assert newest.split()[0] == f"[{PYPROJECT['project']['version']}]"


def test_each_release_has_a_version_and_a_day_in_order() -> None:
    found = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - (\S+)", heading) for heading, _ in sections()[1:]]
    releases = [
        ((int(match[1]), int(match[2]), int(match[3])), date.fromisoformat(match[4])) for match in found if match
    ]
    assert len(releases) == len(found)
    assert releases == sorted(releases, reverse=True)


@pytest.mark.parametrize(("heading", "text"), sections(), ids=lambda text: text.split("\n")[0])
def test_each_change_is_of_a_kind(heading: str, text: str) -> None:
    kinds = re.findall(r"^### (.+)$", text, re.MULTILINE)
    assert kinds or heading == "[Unreleased]"
    assert set(kinds) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert not re.search(r"^- ", text.partition("### ")[0], re.MULTILINE), f"{heading}: a change stands under no kind"


# --- style


def test_hooks_run_what_make_lint_runs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    found = re.search(r"^lint:.*\n((?:\t.+\n)+)", makefile, re.MULTILINE)
    assert found
    lint = [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = [hook for repo in repos for hook in repo["hooks"]]
    assert [hook["entry"] for hook in hooks] == lint


def test_hooks_download_nothing_and_look_at_every_file() -> None:
    for repo in yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]:
        assert repo["repo"] == "local"
        for hook in repo["hooks"]:
            assert (hook["language"], hook["pass_filenames"], hook["always_run"]) == ("system", False, True)


def test_editors_wrap_python_where_ruff_does() -> None:
    config = ConfigParser()
    config.read_string("[top]\n" + (ROOT / ".editorconfig").read_text())
    assert config["*.py"]["max_line_length"] == str(PYPROJECT["tool"]["ruff"]["line-length"])


def test_texts_are_as_the_editorconfig_says() -> None:
    faults = []
    for path in texts():
        name, text = path.relative_to(ROOT), path.read_bytes().decode("utf-8")
        faults += [f"{name} does not end with a newline"] if text and not text.endswith("\n") else []
        faults += [f"{name} has a carriage return"] if "\r" in text else []
        faults += [f"{name} has spaces at the end of a line"] if re.search(r"[ \t]$", text, re.MULTILINE) else []
        faults += [f"{name} has tabs"] if "\t" in text and name not in WITH_TABS else []
    assert faults == []
