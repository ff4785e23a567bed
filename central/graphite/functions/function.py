"""What a function is: its parameters, its work, and the range and the further targets that it asks for. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from central.graphite.lines import Line, Range, consolidation
from central.graphite.targets import TargetError
from central.graphite.times import parse_offset

Type = Literal[
    "seriesList",
    "seriesListOrNumber",
    "integer",
    "float",
    "intOrInf",
    "string",
    "boolean",
    "interval",
    "date",
    "intOrInterval",
    "nodeOrTag",
    "node",
    "tag",
    "aggFunc",
    "any",
]
REQUIRED: Final = object()


class Parameter(NamedTuple):
    """A parameter. With ``many`` it takes all arguments that are left; if it is required, there must be one."""

    name: str
    type: Type
    default: Any = REQUIRED
    many: bool = False

    @property
    def of_lines(self) -> bool:
        """Whether the parameter takes lines."""
        return self.type in {"seriesList", "seriesListOrNumber"}


LINES: Final = Parameter("seriesList", "seriesList")
ALL_LINES: Final = Parameter("seriesLists", "seriesList", many=True)


Run = Callable[..., list[Line]]


@dataclass(frozen=True, slots=True)
class Function:
    """A function. ``run`` gets the Range of the request, then a value for each parameter, and returns lines.

    The first paragraph of its docstring is for users: ``/functions`` shows it.

    The other callables get the arguments by the names of their parameters:

    - ``inner`` gives the range for which the function needs its lines, if it is not that of the request. It gets that
      range before the arguments, of which those that are lines are still empty, and after them the widest step of its
      lines.
    - ``step`` gives the step of what the function makes, if it is another one. It gets the widest step of its lines
      after the arguments.
    - ``exact`` gives the window of a call in seconds, and the way in which it puts numbers together. If the path is put
      together in the same way, the store makes these windows itself, and nothing is averaged twice.
    - ``weight`` gives how many numbers the function reads for each number that it makes.
    - ``further`` gives more targets, which it knows only from its lines. ``run`` gets their lines as its last argument,
      one list per target.
    """

    name: str
    group: str
    parameters: Sequence[Parameter]
    run: Run
    inner: Callable[[Range, Mapping[str, Any], int], Range] | None = None
    step: Callable[[Mapping[str, Any], int], int] | None = None
    exact: Callable[[Mapping[str, Any]], tuple[int, str] | None] | None = None
    weight: Callable[[Range, Mapping[str, Any]], int] = lambda *_: 1
    further: Callable[[Mapping[str, Any]], Iterator[str]] | None = None

    def bind(self, arguments: Sequence[Any], named: Mapping[str, Any]) -> dict[str, Any]:
        """The checked value of each parameter by its name. Raises TargetError that names function and parameter."""
        names = [parameter.name for parameter in self.parameters]
        for name in named:
            if name not in names:
                raise TargetError(f"{self.name}: {name[:40]} is not a parameter; it has {self._names()}")
        given = dict(named)
        bound: dict[str, Any] = {}
        left = list(arguments)
        for parameter in self.parameters:
            if parameter.many:
                values, left = left, []
                if not values and parameter.default is REQUIRED:
                    raise TargetError(f"{self.name}: {parameter.name} is missing")
                bound[parameter.name] = [self._checked(parameter, value) for value in values]
            elif left:
                bound[parameter.name] = self._checked(parameter, left.pop(0))
            elif parameter.name in given:
                bound[parameter.name] = self._checked(parameter, given.pop(parameter.name))
            elif parameter.default is REQUIRED:
                raise TargetError(f"{self.name}: {parameter.name} is missing")
            else:
                bound[parameter.name] = parameter.default
        if left:
            raise TargetError(f"{self.name} takes {len(self.parameters)} arguments; this call has {len(arguments)}")
        for name in given:
            raise TargetError(f"{self.name}: {name} is given twice")
        return bound

    def _names(self) -> str:
        return ", ".join(parameter.name for parameter in self.parameters)

    def _checked(self, parameter: Parameter, value: Any) -> Any:
        if value is None and parameter.default is None:
            return None
        try:
            return _CHECKS[parameter.type](value)
        except (ValueError, TypeError, OverflowError) as error:
            said = str(error) if isinstance(error, ValueError) else _MEANING[parameter.type]
            raise TargetError(f"{self.name}: {parameter.name} {said}") from None

    def described(self) -> dict[str, Any]:
        """The function as ``/functions`` shows it."""
        return {
            "name": self.name,
            "function": f"{self.name}({self._names()})",
            "description": (self.run.__doc__ or "").split("\n\n")[0].replace("\n", " "),
            "module": "graphite.render.functions",
            "group": self.group,
            "params": [
                {"name": one.name, "type": one.type, "required": one.default is REQUIRED}
                | ({"multiple": True} if one.many else {})
                | ({} if one.default is REQUIRED or one.default is None else {"default": _shown(one.default)})
                for one in self.parameters
            ],
        }


def seconds_of(interval: str) -> int:
    """The length of an interval such as "1h" in seconds, at least 1, whatever its sign. Raises TargetError."""
    try:
        seconds = abs(parse_offset(interval))
    except ValueError as error:
        raise TargetError(str(error)) from None
    if not seconds:
        raise TargetError(f"the interval {interval!r} has no length")
    return seconds


def _shown(value: Any) -> Any:
    return "inf" if value == float("inf") else value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _integer(value: Any) -> int:
    number = _number(value)
    if number != int(number) or abs(number) > 10**9:
        raise TypeError
    return int(number)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _lines(value: Any) -> Any:
    if not isinstance(value, list):
        raise TypeError
    return value


def _interval(value: Any) -> str:
    text = _text(value)
    parse_offset(text)
    return text


_CHECKS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "seriesList": _lines,
    "seriesListOrNumber": lambda value: value if isinstance(value, list) else _number(value),
    "integer": _integer,
    "float": _number,
    "intOrInf": lambda value: value if value == float("inf") else _integer(value),
    "string": _text,
    "boolean": _flag,
    "interval": _interval,
    "date": _text,
    "intOrInterval": lambda value: _interval(value) if isinstance(value, str) else _integer(value),
    "nodeOrTag": lambda value: value if isinstance(value, str) else _integer(value),
    "node": _integer,
    "tag": _text,
    "aggFunc": lambda value: consolidation(_text(value)),
    "any": lambda value: value,
}
_MEANING: Final[Mapping[str, str]] = {
    "seriesList": "must be a path or a function that gives lines",
    "seriesListOrNumber": "must be lines or a number",
    "integer": "must be a whole number",
    "float": "must be a number",
    "intOrInf": "must be a whole number or inf",
    "string": "must be a text in quotes",
    "boolean": "must be true or false",
    "interval": 'must be a span of time in quotes, such as "1h"',
    "date": 'must be a time in quotes, such as "-1h"',
    "intOrInterval": 'must be a number of points or a span of time in quotes, such as "1h"',
    "nodeOrTag": "must be the number of a node or the name of a tag",
    "node": "must be the number of a node",
    "tag": "must be the name of a tag",
    "aggFunc": 'must be a way to put numbers together, such as "sum"',
    "any": "",
}
