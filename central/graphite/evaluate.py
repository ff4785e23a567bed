"""Computes targets. Pure: first it says which lines a target needs, and then, with these lines, what it is.

``resolve`` checks every call and its arguments, so a wrong target asks the store for nothing. A function such as
``applyByNode`` knows only from its lines which further targets it needs: ``grown`` adds these to the tree.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

import numpy as np

from central.graphite.functions.function import Function
from central.graphite.functions.table import function_named
from central.graphite.lines import Line, Range
from central.graphite.targets import Call, Expression, Path, TargetError, parse_target

MOST_WORK: Final = 20_000_000
"""How many numbers the functions of one request may read and write in all."""
MOST_FURTHER: Final = 2_000
"""How many further targets the functions of one request may ask for."""
MOST_FURTHER_CHARACTERS: Final = 400_000
"""How many characters these further targets may have in all."""
_LINE: Final = 100
"""The least work that a line counts as, however few numbers it has."""


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
    """A call whose function is known. Among its arguments are Want and Step in place of Path and Call.

    ``further`` are the targets that the function asks for; None before it was asked.
    """

    function: Function
    span: Range
    arguments: Sequence[Any]
    named: Mapping[str, Any]
    further: Sequence["Node"] | None = None

    @property
    def asks(self) -> bool:
        """Whether the function must still say which further targets it needs."""
        return self.function.further is not None and self.further is None

    def inner(self) -> Iterator["Node"]:
        """The nodes directly below."""
        for argument in (*self.arguments, *self.named.values(), *(self.further or ())):
            if isinstance(argument, Want | Step):
                yield argument


Node = Want | Step


class Budget:
    """How much work a request may still make."""

    def __init__(self, numbers: int = MOST_WORK) -> None:
        self._left = numbers
        self._further = MOST_FURTHER
        self._characters = MOST_FURTHER_CHARACTERS

    def take(self, numbers: int) -> None:
        """Use up some work. Raises TargetError if too little is left."""
        self._left -= numbers
        if self._left < 0:
            raise TargetError("the targets compute too many numbers; ask for a shorter range, or for fewer lines")

    def take_lines(self, lines: Sequence[Line], weight: int = 1) -> None:
        """Use up the work for the numbers of lines, each so many times. Raises TargetError if too little is left."""
        self.take(sum(len(line.values) for line in lines) * weight + len(lines) * _LINE)

    def take_further(self, target: str) -> None:
        """Use up one further target. Raises TargetError if they are too many or too long."""
        self._further -= 1
        self._characters -= len(target)
        if self._further < 0 or self._characters < 0:
            raise TargetError(
                f"a request may ask for {MOST_FURTHER:,} further targets, of {MOST_FURTHER_CHARACTERS:,} characters in"
                " all; give it fewer lines"
            )


class _Known(NamedTuple):
    """A call whose function is known. ``step`` is the widest step of the lines that it takes, as far as calls say it.

    Among its arguments are Want and _Known in place of Path and Call, so far without the range.
    """

    function: Function
    arguments: Sequence[Any]
    named: Mapping[str, Any]
    given: Mapping[str, Any]
    step: int

    @property
    def made(self) -> int:
        """The step of its own lines."""
        return self.step if self.function.step is None else self.function.step(self.given, self.step)


def resolve(tree: Expression, span: Range) -> Node:
    """The tree with its functions, and with what it needs of the store. Raises TargetError."""
    return _over(_known(tree, span), span, None)


def _known(tree: Expression, span: Range) -> Want | _Known:
    """From the leaves up: the functions, their arguments, and the steps of their lines."""
    if isinstance(tree, Path):
        return Want(tree.text, (), span)
    if tree.function == "seriesByTag":
        return _by_tags(tree, span)
    function = function_named(tree.function)

    def known(argument: object) -> object:
        return _known(argument, span) if isinstance(argument, Path | Call) else argument

    arguments, named = [known(one) for one in tree.arguments], {name: known(one) for name, one in tree.named.items()}
    given = function.bind(
        [_without_lines(one) for one in arguments], {name: _without_lines(one) for name, one in named.items()}
    )
    steps = (one.made for one in (*arguments, *named.values()) if isinstance(one, _Known))
    return _Known(function, arguments, named, given, max(steps, default=span.step))


def _over(node: Want | _Known, span: Range, exact: tuple[int, str] | None) -> Node:
    """From the root down: the range of each call, and of the lines that it needs."""
    if isinstance(node, Want):
        return node._replace(span=span, exact=exact)
    function = node.function
    inner = function.inner(span, node.given, node.step) if function.inner is not None else span
    of_leaf = function.exact(node.given) if function.exact is not None else None

    def over(argument: Any) -> Any:
        return _over(argument, inner, of_leaf) if isinstance(argument, Want | _Known) else argument

    named = {name: over(one) for name, one in node.named.items()}
    return Step(function, span, [over(one) for one in node.arguments], named)


def _by_tags(call: Call, span: Range) -> Want:
    expressions = tuple(one for one in call.arguments if isinstance(one, str))
    for name in call.named:
        raise TargetError(f"seriesByTag: {name[:40]} is not a parameter; it has tagExpressions, such as 'env=prod'")
    if not expressions or len(expressions) < len(call.arguments):
        raise TargetError("seriesByTag takes expressions in quotes, such as 'env=prod'")
    text = ",".join(f"'{one}'" for one in expressions)
    return Want(f"seriesByTag({text})", expressions, span)


def _without_lines(argument: object) -> object:
    return [] if isinstance(argument, Want | _Known) else argument


def wants(node: Node) -> Iterator[Want]:
    """All lines that a target needs."""
    if isinstance(node, Want):
        yield node
        return
    for one in node.inner():
        yield from wants(one)


def asks(node: Node) -> bool:
    """Whether a function of the target must still say which further targets it needs."""
    return isinstance(node, Step) and (node.asks or any(map(asks, node.inner())))


def grown(node: Node, found: Mapping[Want, Sequence[Line]], budget: Budget) -> Node:
    """The target with the further targets of every call whose lines are known. Raises TargetError.

    ``found`` has the lines of all that it wants. The calls in which another one asks are for the next time.
    """
    if not isinstance(node, Step) or not asks(node):
        return node
    further = node.function.further
    if further is not None and not any(map(asks, node.inner())):
        return replace(node, further=_resolved(node, further(_given(node, found, budget)), budget))

    def known(argument: Any) -> Any:
        return grown(argument, found, budget) if isinstance(argument, Want | Step) else argument

    return replace(
        node,
        arguments=[known(one) for one in node.arguments],
        named={name: known(one) for name, one in node.named.items()},
        further=None if node.further is None else [known(one) for one in node.further],
    )


def _resolved(step: Step, texts: Iterable[str], budget: Budget) -> list[Node]:
    """The further targets that a call asks for, counted one by one, because all may not fit into memory."""
    made: list[Node] = []
    for text in texts:
        try:
            budget.take_further(text)
            made.append(resolve(parse_target(text), step.span))
        except TargetError as error:
            raise TargetError(f"{step.function.name} asks for {text[:80]!r}: {error}") from None
    return made


def evaluate(node: Node, found: Mapping[Want, Sequence[Line]], budget: Budget) -> list[Line]:
    """The lines of a target that asks for no further one. ``found`` has those of each Want. Raises TargetError."""
    if isinstance(node, Want):
        return list(found[node])
    given = _given(node, found, budget)
    if node.further is not None:
        given["further"] = [evaluate(one, found, budget) for one in node.further]
    # Before it runs, so that too much work is refused and not done.
    lines = [one for argument in given.values() for one in _lines_in(argument)]
    budget.take_lines(lines, node.function.weight(node.span, given))
    with np.errstate(all="ignore"):
        made = node.function.run(node.span, *given.values())
        made = [replace(line, values=np.where(np.isfinite(line.values), line.values, np.nan)) for line in made]
    budget.take_lines(made)
    return made


def _given(step: Step, found: Mapping[Want, Sequence[Line]], budget: Budget) -> dict[str, Any]:
    """The arguments by parameter."""

    def value(argument: Any) -> Any:
        return evaluate(argument, found, budget) if isinstance(argument, Want | Step) else argument

    arguments = [value(one) for one in step.arguments]
    return step.function.bind(arguments, {name: value(one) for name, one in step.named.items()})


def _lines_in(argument: object) -> Iterator[Line]:
    if isinstance(argument, Line):
        yield argument
    elif isinstance(argument, list):
        for one in argument:
            yield from _lines_in(one)
