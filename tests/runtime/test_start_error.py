"""runtime/start_error.py: an OSError becomes one sentence with what to do."""

import errno
import os

import pytest

from runtime.start_error import StartError, starting

ADVICE = "choose another"


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (OSError(errno.EACCES, "Permission denied"), "Permission denied"),
        (OSError("only a text"), "only a text"),
        (
            OSError(errno.EADDRINUSE, "error while attempting to bind on address ('127.0.0.1', 80): in use"),
            os.strerror(errno.EADDRINUSE),
        ),
    ],
    ids=["of the system", "without a number", "of asyncio, with the address"],
)
def test_a_start_error_says_the_cause_and_what_to_do(error: OSError, fault: str) -> None:
    with pytest.raises(StartError) as caught, starting("THE_SETTING value", ADVICE):
        raise error
    assert str(caught.value) == f"THE_SETTING value cannot be used: {fault}; {ADVICE}"


def test_an_error_that_is_not_an_oserror_passes_unchanged() -> None:
    with pytest.raises(ValueError, match="mine"), starting("THE_SETTING", ADVICE):
        raise ValueError("mine")
