"""The pages of the documentation, taken apart: blocks of code, links and headings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
RUNNABLE = {
    "sh": ("bash", "sh"),
    "python": ("python", "py"),
    "js": ("node", "mjs"),
    "php": ("php", "php"),
    "go": ("go run", "go"),
    "java": ("java", "java"),
}
"""What runs a language, and how its files end. A block of one of them is run, or says why not."""
DATA = {"text", "json", "toml", "yaml", "ini", "sql", "nginx", "statsd", "csv"}
_REASON = re.compile(r"<!-- not run: (.+?) -->")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page. ``reason``: why it is not run, from a comment before it."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None


def pages() -> list[str]:
    """All pages that people read, as paths from the root."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


@cache
def _tokens(page: str) -> tuple[Token, ...]:
    return tuple(MarkdownIt("commonmark").enable("table").parse((ROOT / page).read_text(encoding="utf-8")))


def blocks(page: str) -> Iterator[Block]:
    """The blocks of code of a page; one that is only indented has the language ``indented``."""
    reason = None
    for token in _tokens(page):
        if token.type == "html_block":
            found = _REASON.search(token.content)
            reason = found[1] if found else None
            continue
        if token.type in ("fence", "code_block"):
            assert token.map is not None
            language = token.info.strip() if token.type == "fence" else "indented"
            yield Block(page, token.map[0] + 1, language, token.content, reason)
        if token.nesting == 0:
            reason = None


def links(page: str) -> Iterator[str]:
    """Where the links of a page lead, as written."""
    for token in _tokens(page):
        for child in token.children or ():
            if child.type == "link_open":
                yield str(child.attrs["href"])


def anchors(page: str) -> set[str]:
    """The names of a page's headings in links, as GitHub makes them."""
    tokens = _tokens(page)
    titles = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
