"""What an endpoint is in the description, and the pieces that several are made of."""

from collections.abc import Iterable
from typing import NamedTuple

from central.web.openapi.components import Json, schema


class Endpoint(NamedTuple):
    """A method of a path. Its key needs ``scope``; None means no key. ``answers`` are the successful ones by status."""

    tag: str
    method: str
    path: str
    id: str
    summary: str
    text: str
    answers: Json
    scope: str | None = None
    parameters: tuple[Json, ...] = ()
    body: Json | None = None


def body_of(name: str, example: Json) -> Json:
    """A JSON body of a schema."""
    return {"required": True, "content": {"application/json": {"schema": schema(name), "example": example}}}


def json_answer(text: str, answer: Json, example: object) -> Json:
    """An answer in JSON."""
    return {"description": text, "content": {"application/json": {"schema": answer, "example": example}}}


def parameter(name: str, described: Json, text: str, example: object) -> Json:
    """A required parameter of the query."""
    return {
        "name": name,
        "in": "query",
        "required": True,
        "description": text,
        "schema": described,
        "example": example,
    }


def optional(name: str, described: Json, text: str) -> Json:
    """A parameter of the query that may be left out."""
    return {"name": name, "in": "query", "required": False, "description": text, "schema": described}


def enum(values: Iterable[str]) -> Json:
    """One of these words."""
    return {"type": "string", "enum": list(values)}
