"""What the tests of the command line share: answers of the fake service, and the way to run a command."""

import json
from collections.abc import Callable

from click.testing import Result

ADMIN_KEY = "a" * 40

Run = Callable[..., Result]


def ok(**body: object) -> bytes:
    return json.dumps({"success": True, **body}).encode()


def refusal(code: str, message: str) -> bytes:
    return json.dumps({"success": False, "error": {"code": code, "message": message, "details": {}}}).encode()
