"""Finds where the items of a batch's body begin and end, without decoding them.

So a body with millions of items is refused by their number before any object is made, and each item is decoded alone.
"""

import re
from types import ModuleType
from typing import Final, Literal

Span = tuple[int, int]
Spans = list[Span] | int | Literal["other", "torn"]
"""The start and end of each item in bytes; or the number of items, if there are too many; or ``other`` if the body is
not a batch; or ``torn`` if it ends too early."""
COUNTED: Final = 100
"""Counting stops at this many times the items that a batch may have."""

_HEAD: Final = re.compile(rb'[ \n\r\t]*\{[ \n\r\t]*"metrics"[ \n\r\t]*:[ \n\r\t]*\[(?:[ \n\r\t]*(\]))?')
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{},"]', re.DOTALL)
"""A string, a bracket or a comma; or a lone quote, if its string does not end."""
_BLANK: Final = b" \n\r\t"


def find_spans(body: bytes, most: int, core: ModuleType | None) -> Spans:
    """The spans of at most ``most`` items of ``{"metrics":[...]}``. Uses the compiled core if there is one."""
    if core is not None:
        found: Spans = core.spans(body, most)
        return found
    head = _HEAD.match(body)
    if head is None:
        return "other"
    if head[1]:
        return _ended([], body, head.end())
    spans: list[Span] = []
    count, start, depth = 0, head.end(), 0
    for token in _TOKEN.finditer(body, start):
        match token[0]:
            case b'"':
                return "torn"
            case b"[" | b"{":
                depth += 1
            case b"]" | b"}" if depth:
                depth -= 1
            case b"," | b"]" | b"}" as end if not depth:
                count += 1
                if count <= most:
                    spans.append((start, token.start()))
                if count == COUNTED * most:
                    return count
                if end == b"]":
                    return _ended(spans if count <= most else count, body, token.end())
                if end == b"}":
                    return "other"
                start = token.end()
    return "torn"


def _ended(spans: list[Span] | int, body: bytes, at: int) -> Spans:
    """``spans`` if only the closing brace follows; else ``other`` or ``torn``."""
    rest = body[at:].strip(_BLANK)
    return spans if rest == b"}" else "other" if rest else "torn"
