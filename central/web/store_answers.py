"""What a store says to an admin, as an answer over HTTP."""

from collections.abc import Awaitable
from typing import TypeVar

from central.errors import ApiError, unavailable
from central.store.base import StoreError, Unsupported

T = TypeVar("T")


async def asked(answer: Awaitable[T]) -> T:
    """What the store says. Raises ApiError: 503 where it cannot now, 404 where it never will."""
    try:
        return await answer
    except Unsupported as error:
        raise ApiError(404, "NOT_FOUND", str(error)) from error
    except StoreError as error:
        raise unavailable(f"the store could not do it: {error}") from error
