"""Turns a store's errors into HTTP answers for the admin API."""

from collections.abc import Awaitable
from typing import TypeVar

from central.errors import ApiError, unavailable
from central.store.base import StoreError, Unsupported

T = TypeVar("T")


async def asked(answer: Awaitable[T]) -> T:
    """The store's answer. Raises ApiError: 404 if this kind of store cannot do it, 503 if it cannot do it now."""
    try:
        return await answer
    except Unsupported as error:
        raise ApiError(404, "NOT_FOUND", str(error)) from error
    except StoreError as error:
        raise unavailable(f"the store could not do it: {error}") from error
