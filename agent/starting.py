"""Why an agent cannot start, in words for whoever starts it."""

from collections.abc import Iterator
from contextlib import contextmanager


class StartError(Exception):
    """The agent cannot start; the message says what is in the way and what to do."""


@contextmanager
def starting(what: str, advice: str) -> Iterator[None]:
    """Turn an OSError within into a StartError."""
    try:
        yield
    except OSError as error:
        fault = error.strerror or str(error)
        raise StartError(f"{what} cannot be used: {fault}; {advice}") from None
