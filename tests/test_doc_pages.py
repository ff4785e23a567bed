"""What every page keeps to: fenced blocks with a language, data that parses, links that lead somewhere."""

import csv
import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from tests.doc_pages import DATA, ROOT, RUNNABLE, Block, anchors, blocks, links, pages

BLOCKS = [block for page in pages() for block in blocks(page)]
PARSERS: dict[str, Callable[[str], Any]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
    "csv": lambda text: list(csv.reader(text.splitlines(), strict=True)),
}


def name(block: Block) -> str:
    return f"{block.page}:{block.line}"


@pytest.mark.parametrize("block", BLOCKS, ids=name)
def test_a_block_has_fences_and_a_language(block: Block) -> None:
    known = sorted({*RUNNABLE, *DATA})
    assert block.language in known, f"{name(block)}: use ``` with one of {', '.join(known)}; output is text"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language in PARSERS], ids=name)
def test_data_can_be_read(block: Block) -> None:
    assert PARSERS[block.language](block.text)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.reason is not None], ids=name)
def test_what_is_not_run_gives_a_reason_and_could_be_run(block: Block) -> None:
    assert block.language in RUNNABLE, f"{name(block)} is data, which needs no such mark"
    assert len(block.reason or "") > 10


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_to_a_page_and_a_heading_that_are_there(page: str) -> None:
    for target in links(page):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent.joinpath(path).resolve() if path else (ROOT / page)
        assert found.exists(), f"{page} links to {target}"
        if anchor:
            assert anchor in anchors(str(found.relative_to(ROOT))), f"{page} links to {target}"


@pytest.mark.parametrize("page", [page for page in pages() if page.startswith("docs/readers/")])
def test_the_page_for_a_kind_of_reader_fits_on_a_screen(page: str) -> None:
    assert len((ROOT / page).read_text().splitlines()) <= 40


FOLDERS = (
    *("agent", "central", "protocol", "runtime", "quickstart", "native", "migrations", "loadtest"),
    *("deploy", "systemd", "requirements", "scripts", "docs", "tests"),
)
NOT_IN_THE_REPOSITORY = {"deploy/tls/cert.pem", "deploy/tls/key.pem"}
"""Files that an operator makes."""


@pytest.mark.parametrize("page", [page for page in pages() if page != "CHANGELOG.md"])
def test_every_file_that_a_page_names_is_there(page: str) -> None:
    named = set(re.findall(rf"`((?:{'|'.join(FOLDERS)})/[\w./@-]+)", (ROOT / page).read_text()))
    assert [path for path in sorted(named - NOT_IN_THE_REPOSITORY) if not (ROOT / path).exists()] == []


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[str] = set()
    ahead = ["README.md"]
    while ahead:
        page = ahead.pop()
        if page in reached:
            continue
        reached.add(page)
        for target in links(page):
            path = (ROOT / page).parent.joinpath(target.partition("#")[0]).resolve()
            if path.suffix == ".md" and path.is_relative_to(ROOT):
                ahead.append(str(path.relative_to(ROOT)))
    assert set(pages()) - reached == set(), "link them from docs/README.md"
