"""Reads a target such as ``aliasByNode(scale(shop.*.count, 0.1), 1)`` into a tree. Pure.

    shop.orders.sum|scale(10)       a pipe puts its left side in front of the arguments
    sumSeries(a.{b,c}.*, "text", 1e3, true, func="max")

A tree is bounded: in its text, its depth and its calls.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

MOST_CHARACTERS: Final = 16_384
MOST_DEPTH: Final = 32
MOST_CALLS: Final = 500
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_NUMBER: Final = re.compile(r"-?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?=\s*(?:[,)|]|\Z))", re.ASCII)
_STRING: Final = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'")
_WORDS: Final[Mapping[str, object]] = {"true": True, "false": False, "none": None, "inf": float("inf")}
_BLANKS: Final = " \t\r\n"


class TargetError(ValueError):
    """A target that cannot be read, or cannot be computed. The text says where and why."""


@dataclass(frozen=True, slots=True)
class Path:
    """A path with wildcards, as written."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function. An argument is a Path, a Call, a number, a text, True, False or None."""

    function: str
    arguments: Sequence[object]
    named: Mapping[str, object] = field(default_factory=dict)


Expression = Path | Call


def parse_target(text: str) -> Expression:
    """The tree of a target. Raises TargetError that names the place of the fault."""
    if len(text) > MOST_CHARACTERS:
        raise TargetError(f"a target may have {MOST_CHARACTERS:,} characters; this one has {len(text):,}")
    reader = _Reader(text)
    tree = reader.expression(0)
    reader.skip()
    if reader.at < len(text):
        raise reader.fault("the target should end")
    if not isinstance(tree, Path | Call):
        raise TargetError("a target is a path or a function, not a text or a number")
    return tree


def first_path(text: str) -> str:
    """The first path within the text of a line's name; the text itself if it is no target."""
    try:
        tree: object = parse_target(text)
    except TargetError:
        return text
    found = _first(tree)
    return text if found is None else found


def _first(tree: object) -> str | None:
    if isinstance(tree, Path):
        return tree.text
    if isinstance(tree, Call):
        return next((path for path in map(_first, tree.arguments) if path is not None), None)
    return None


class _Reader:
    """A place in a text. Each method reads from there, and moves it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._calls = 0

    def fault(self, expected: str) -> TargetError:
        found = repr(self.text[self.at]) if self.at < len(self.text) else "the end"
        return TargetError(f"{expected} at character {self.at + 1}, where it has {found}")

    def skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _BLANKS:
            self.at += 1

    def take(self, char: str) -> bool:
        """Whether this character is next, after blanks. If so, it is read."""
        self.skip()
        if not self.text.startswith(char, self.at):
            return False
        self.at += 1
        return True

    def expression(self, depth: int) -> object:
        """A value with all its pipes."""
        if depth > MOST_DEPTH:
            raise TargetError(f"functions may stand in each other {MOST_DEPTH} deep")
        tree = self._value(depth)
        while self.take("|"):
            self.skip()
            name = _NAME.match(self.text, self.at)
            if name is None:
                raise self.fault("a function should follow '|'")
            self.at = name.end()
            if not self.take("("):
                raise self.fault("a '(' should follow the function")
            call = self._arguments(name.group(), depth)
            tree = Call(call.function, (tree, *call.arguments), call.named)
        return tree

    def _value(self, depth: int) -> object:
        self.skip()
        for pattern, read in ((_STRING, _text), (_NUMBER, _number)):
            found = pattern.match(self.text, self.at)
            if found is not None:
                self.at = found.end()
                return read(found)
        path = self._path()
        if not path:
            raise self.fault("a path, a function, a number or a text should stand")
        if path.lower() in _WORDS:
            return _WORDS[path.lower()]
        if _NAME.fullmatch(path) and self.take("("):
            return self._arguments(path, depth)
        return Path(path)

    def _path(self) -> str:
        """Up to a blank, a bracket of a call, a pipe, or a comma that is not between braces."""
        start, depth = self.at, 0
        while self.at < len(self.text):
            char = self.text[self.at]
            if char in "()|\"'=" and not (char == "=" and ";" in self.text[start : self.at]):
                break
            if depth == 0 and (char == "," or char in _BLANKS):
                break
            depth += (char == "{") - (char == "}")
            self.at += 1
        return self.text[start : self.at]

    def _arguments(self, function: str, depth: int) -> Call:
        """The arguments after the opening bracket, and the closing one."""
        self._calls += 1
        if self._calls > MOST_CALLS:
            raise TargetError(f"a target may call {MOST_CALLS} functions")
        arguments: list[object] = []
        named: dict[str, object] = {}
        if self.take(")"):
            return Call(function, arguments, named)
        while True:
            name = self._argument_name()
            value = self.expression(depth + 1)
            if name is not None:
                named[name] = value
            elif named:
                raise self.fault("an argument without a name may not follow one with a name")
            else:
                arguments.append(value)
            if self.take(")"):
                return Call(function, arguments, named)
            if not self.take(","):
                raise self.fault(f"{function}(...) should go on with ',' or ')'")

    def _argument_name(self) -> str | None:
        """The name in ``name=value``; None where there is none."""
        self.skip()
        name = _NAME.match(self.text, self.at)
        if name is None:
            return None
        after = name.end()
        while after < len(self.text) and self.text[after] in _BLANKS:
            after += 1
        if not self.text.startswith("=", after):
            return None
        self.at = after + 1
        return name.group()


def _text(found: re.Match[str]) -> str:
    quoted = found.group(1) if found.group(1) is not None else found.group(2)
    return re.sub(r"\\([\"'])", r"\1", quoted)


def _number(found: re.Match[str]) -> int | float:
    text = found.group()
    number = int(text) if re.fullmatch(r"-?[0-9]{1,15}", text) else float(text)
    if abs(number) == float("inf"):
        raise TargetError(f"the number {text[:20]} is too large")
    return number
