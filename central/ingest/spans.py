"""Where the items of a batch's body begin and end. Makes no objects of what is in them, and says nothing of it.

So a body that would become millions of objects is refused for their number, and each item is decoded for itself.
"""

import re
from types import ModuleType
from typing import Final, Literal

Span = tuple[int, int]
Spans = list[Span] | int | Literal["other", "torn"]
"""Where each item begins and ends, in bytes; how many there are, where that is too many; or that the body is no batch,
or ends too early."""
COUNTED: Final = 100
"""So many times as many items as a batch may have are counted; then it is enough."""

_HEAD: Final = re.compile(rb'[ \n\r\t]*\{[ \n\r\t]*"metrics"[ \n\r\t]*:[ \n\r\t]*\[(?:[ \n\r\t]*(\]))?')
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[][{},"]', re.DOTALL)
"""A string, a bracket, a comma; a quote alone where its string has no end."""
_BLANK: Final = b" \n\r\t"


def find_spans(body: bytes, most: int, core: ModuleType | None) -> Spans:
    """The spans of ``{"metrics":[...]}``, at most ``most``: by the compiled core where there is one."""
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
    """``spans`` where only the end of the object follows."""
    rest = body[at:].strip(_BLANK)
    return spans if rest == b"}" else "other" if rest else "torn"
