"""The statements of a source file, also those within others. To look for them needs no look into expressions."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

BLOCKS: Final = ("body", "orelse", "finalbody", "handlers", "cases")


def statements(path: Path) -> Iterator[ast.AST]:
    yield from _within(ast.parse(path.read_text()))


def _within(node: ast.AST) -> Iterator[ast.AST]:
    for block in BLOCKS:
        for child in getattr(node, block, ()):
            yield child
            yield from _within(child)
