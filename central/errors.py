"""Error answers: a status, a code, and a sentence that says what would be right (PRD 6)."""

from collections.abc import Mapping
from typing import Any, Final

from protocol.item import Fault

RETRY_SECONDS: Final = 2
"""The Retry-After header of a 503."""

CLOCK_IN_DOUBT: Final = "this host's clock has just jumped, so nothing is recorded under its time; send it again"


class ApiError(Exception):
    """An error answer. ``details`` goes to ``error.details``, ``headers`` to the response."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The error as PRD 6.1 defines it."""
        return {"success": False, "error": {"code": self.code, "message": self.message, "details": self.details}}


def invalid(fault: Fault) -> ApiError:
    """400 for input that breaks a rule."""
    return ApiError(400, fault.code, fault.message, details={"field": fault.field})


def unauthorized(message: str) -> ApiError:
    """401: the request has no key, or no valid one."""
    return ApiError(401, "UNAUTHORIZED", message, headers={"WWW-Authenticate": "ApiKey"})


def unavailable(message: str) -> ApiError:
    """503: nothing was acknowledged. The client may send the request again with the same Idempotency-Key."""
    return ApiError(503, "SERVICE_UNAVAILABLE", message, headers={"Retry-After": str(RETRY_SECONDS)})
