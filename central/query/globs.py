"""Graphite's patterns over dotted names. Pure.

    shop.*.p95                 ``*`` is any text within a node, ``?`` any one character
    shop.{orders,refunds}      one of several texts, which may hold dots, wildcards and braces
    web-[0-9].[!a]*            a character of a set, or of none of it

A node is the text between two dots. No wildcard reaches over a dot.
"""

import fnmatch
import re
from typing import Final, NamedTuple

MOST_ALTERNATIVES: Final = 1_000
"""How many patterns the braces of one may stand for."""
MOST_BRACES: Final = 20
_WILD: Final = re.compile(r"[*?[]")
_SET: Final = re.compile(r"\[!?[A-Za-z0-9_-]+\]", re.ASCII)


class GlobNode(NamedTuple):
    """What a node must look like: it begins with ``head``, and is matched by ``regex``. Without, it is ``head``."""

    head: str
    regex: re.Pattern[str] | None = None

    def matches(self, node: str) -> bool:
        """Whether the text of a node is meant."""
        return node == self.head if self.regex is None else self.regex.fullmatch(node) is not None


Glob = tuple[GlobNode, ...]


def parse_globs(pattern: str) -> list[Glob]:
    """The patterns that the braces stand for, each once and as its nodes. Raises ValueError that says what is wrong."""
    if pattern.count("{") > MOST_BRACES:
        raise ValueError(f"has more than {MOST_BRACES} pairs of braces")
    return [_nodes(text) for text in dict.fromkeys(_alternatives(pattern))]


def literal(glob: Glob) -> str | None:
    """The path that a pattern without wildcards names; else None."""
    return None if any(node.regex for node in glob) else ".".join(node.head for node in glob)


def _alternatives(pattern: str) -> list[str]:
    """The pattern without braces: each of the texts that they stand for, in order."""
    begin = pattern.find("{")
    closing = pattern.find("}")
    if begin < 0 or 0 <= closing < begin:
        if closing >= 0:
            raise ValueError(f"has a '}}' without a '{{' at character {closing + 1}")
        return [pattern]
    parts, end = _parts(pattern, begin)
    found = []
    for part in parts:
        found += _alternatives(pattern[:begin] + part + pattern[end + 1 :])
        if len(found) > MOST_ALTERNATIVES:
            raise ValueError(f"has braces that stand for more than {MOST_ALTERNATIVES:,} patterns; use '*' for some")
    return found


def _parts(pattern: str, begin: int) -> tuple[list[str], int]:
    """The texts between the commas of the braces that open at ``begin``, and where they close."""
    depth, start = 0, begin + 1
    parts: list[str] = []
    for at in range(begin, len(pattern)):
        char = pattern[at]
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return [*parts, pattern[start:at]], at
        elif char == "," and depth == 1:
            parts.append(pattern[start:at])
            start = at + 1
    raise ValueError(f"has a '{{' at character {begin + 1} that is never closed")


def _nodes(text: str) -> Glob:
    return tuple(_node(node) for node in text.split("."))


def _node(text: str) -> GlobNode:
    if any(char in _SET.sub("", text) for char in "[]"):
        raise ValueError(f"has a '[' or ']' in {text[:40]!r} that is of no set; write one such as [a-z0-9] or [!0-9]")
    wild = _WILD.search(text)
    # What fnmatch makes takes a time that does not explode with the number of stars.
    return GlobNode(text) if wild is None else GlobNode(text[: wild.start()], re.compile(fnmatch.translate(text)))
