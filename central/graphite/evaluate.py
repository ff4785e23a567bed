"""Computes targets. Pure: first it says which lines a target needs, and then, with these lines, what it is.

``resolve`` checks every call and its arguments, so a wrong target asks the store for nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np

from central.graphite.functions.function import Function
from central.graphite.functions.table import function_named
from central.graphite.lines import Line, Range
from central.graphite.targets import Call, Expression, Path, TargetError

MOST_WORK: Final = 20_000_000
"""How many numbers the functions of one request may read and write in all."""


class Want(NamedTuple):
    """Lines that a target needs: those of a path, or of expressions over tags, over a range.

    ``exact`` is a step and a way to put numbers together: leaves that are made in this way are wanted with this step.
    """

    text: str
    expressions: tuple[str, ...]
    span: Range
    exact: tuple[int, str] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """A call whose function is known. Among its arguments are Want and Step in place of Path and Call."""

    function: Function
    span: Range
    arguments: Sequence[Any]
    named: Mapping[str, Any]


Node = Want | Step


class Budget:
    """How much work is left for a request."""

    def __init__(self, numbers: int = MOST_WORK) -> None:
        self._left = numbers

    def take(self, numbers: int) -> None:
        """Take some off. Raises TargetError if too little is left."""
        self._left -= numbers
        if self._left < 0:
            raise TargetError("the targets compute too many numbers; ask for a shorter range, or for fewer lines")


def resolve(tree: Expression, span: Range, exact: tuple[int, str] | None = None) -> Node:
    """The tree with its functions, and with what it needs of the store. Raises TargetError."""
    if isinstance(tree, Path):
        return Want(tree.text, (), span, exact)
    if tree.function == "seriesByTag":
        return _by_tags(tree, span, exact)
    function = function_named(tree.function)
    given = function.bind(
        [_without_lines(one) for one in tree.arguments],
        {name: _without_lines(one) for name, one in tree.named.items()},
    )
    inner = function.inner(span, given) if function.inner is not None else span
    of_leaf = function.exact(given) if function.exact is not None else None

    def known(argument: object) -> object:
        return resolve(argument, inner, of_leaf) if isinstance(argument, Path | Call) else argument

    named = {name: known(one) for name, one in tree.named.items()}
    return Step(function, span, [known(one) for one in tree.arguments], named)


def _by_tags(call: Call, span: Range, exact: tuple[int, str] | None) -> Want:
    expressions = tuple(one for one in call.arguments if isinstance(one, str))
    if call.named or not expressions or len(expressions) < len(call.arguments):
        raise TargetError("seriesByTag takes expressions in quotes, such as 'env=prod'")
    text = ",".join(f"'{one}'" for one in expressions)
    return Want(f"seriesByTag({text})", expressions, span, exact)


def _without_lines(argument: object) -> object:
    return [] if isinstance(argument, Path | Call) else argument


def wants(node: Node) -> Iterator[Want]:
    """All lines that a target needs."""
    if isinstance(node, Want):
        yield node
        return
    for argument in (*node.arguments, *node.named.values()):
        if isinstance(argument, Want | Step):
            yield from wants(argument)


def evaluate(node: Node, found: Mapping[Want, Sequence[Line]], budget: Budget) -> list[Line]:
    """The lines of a target. ``found`` has those of each Want. Raises TargetError."""
    if isinstance(node, Want):
        return list(found[node])

    def value(argument: Any) -> Any:
        return evaluate(argument, found, budget) if isinstance(argument, Want | Step) else argument

    arguments = [value(one) for one in node.arguments]
    given = node.function.bind(arguments, {name: value(one) for name, one in node.named.items()})
    lines = [one for argument in given.values() for one in _lines_in(argument)]
    # Before it runs, so that too much work is refused and not done.
    budget.take(sum(len(line.values) for line in lines) * node.function.weight(node.span, given))
    with np.errstate(all="ignore"):
        made = node.function.run(node.span, *given.values())
        made = [replace(line, values=np.where(np.isfinite(line.values), line.values, np.nan)) for line in made]
    budget.take(sum(len(line.values) for line in made))
    return made


def _lines_in(argument: object) -> Iterator[Line]:
    if isinstance(argument, Line):
        yield argument
    elif isinstance(argument, list):
        for one in argument:
            yield from _lines_in(one)
