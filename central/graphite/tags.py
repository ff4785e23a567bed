"""Graphite's expressions over tags. Pure.

    name=shop.orders.sum   the tag has this value; the tag 'name' is the path, with or without an operation
    env!=test              it has another value, or there is no such tag
    host=~web-.*           its beginning is matched by the regular expression; '$' reaches the end
    host!=~web-.*          it is not, or there is no such tag

A tag that a series does not have counts as an empty one, so 'canary=' means series without the tag canary.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from central.graphite.regexes import Regex, compile_regex
from central.store.series import ANYTHING, TagFilter
from protocol.tags import KEY_RULE, MAX_TAGS, is_key, quoted

NAME: Final = "name"
Operator = Literal["=", "!=", "=~", "!=~"]
OPERATORS: Final[tuple[Operator, ...]] = ("!=~", "=~", "!=", "=")


class Expression(NamedTuple):
    """A condition on a tag. ``regex`` is that of the value for the operators with '~'."""

    key: str
    operator: Operator
    value: str
    regex: Regex | None = None

    def holds(self, value: str) -> bool:
        """Whether a value meets it; an empty one stands for a tag that is not there."""
        met = value == self.value if self.regex is None else self.regex.match(value) is not None
        return met != self.operator.startswith("!")


def parse_expressions(texts: Sequence[str]) -> list[Expression]:
    """The conditions of these texts. Raises ValueError that says what is wrong and what would be right."""
    if len(texts) > MAX_TAGS:
        raise ValueError(f"must be at most {MAX_TAGS} expressions; there are {len(texts)}")
    found = [_parse(text) for text in texts]
    if all(expression.holds("") for expression in found):
        raise ValueError("must have an expression that needs a tag, such as env=prod or name=shop.orders")
    return found


def filters_of(expressions: Iterable[Expression]) -> list[TagFilter]:
    """What the store can look for: no series that meets the expressions fails one of these."""
    return [
        TagFilter(one.key, one.value if one.operator == "=" else ANYTHING)
        for one in expressions
        if one.key != NAME and not one.holds("")
    ]


def all_hold(expressions: Iterable[Expression], tags: Mapping[str, str]) -> bool:
    """Whether tags meet all expressions."""
    return all(one.holds(tags.get(one.key, "")) for one in expressions)


def key_of(text: str) -> str:
    """The key of an expression: the first '=' ends it, but for a '!' before that."""
    return text.partition("=")[0].removesuffix("!")


def _parse(text: str) -> Expression:
    key = key_of(text)
    rest = text[len(key) :]
    operator = next((one for one in OPERATORS if rest.startswith(one)), None)
    if operator is None:
        raise ValueError(f"has {quoted(text)}; an expression is like env=prod, env!=test, host=~web-.* or host!=~db-.*")
    if not is_key(key):
        raise ValueError(f"has the key {quoted(key)}; a key {KEY_RULE}")
    value = rest.removeprefix(operator)
    return Expression(key, operator, value, compile_regex(value) if operator.endswith("~") else None)
