"""The id of a request. It is in the answer, and in every log line about the request."""

import os
import re
from collections.abc import MutableMapping
from contextvars import ContextVar
from itertools import count
from typing import Any, Final

from multidict import istr

HEADER: Final = istr("X-Request-Id")
_SANE: Final = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}", re.ASCII)
_current: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)


class RequestIds:
    """Gives each request its id: the client's own if it is valid, else a new one that no other process uses."""

    def __init__(self) -> None:
        self._prefix = os.urandom(6).hex()
        self._number = count(1).__next__

    def begin(self, given: str | None) -> str:
        """Set and return the id of the request that this task starts to handle. ``given`` is the client's id."""
        chosen = given if given is not None and _SANE.fullmatch(given) else f"{self._prefix}-{self._number():x}"
        _current.set(chosen)
        return chosen


def current_id() -> str | None:
    """The id of the request that this task handles; None if there is none."""
    return _current.get()


def add_request_id(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: adds ``request_id`` if there is one."""
    if (request_id := _current.get()) is not None:
        event.setdefault("request_id", request_id)
    return event
