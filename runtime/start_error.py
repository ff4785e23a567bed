"""Why a program cannot start, in words for a person. There is one class, so that each command needs one ``except``."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

OTHER_ADDRESS: Final = "choose another address, of this host, where nothing listens yet"


class StartError(Exception):
    """The program cannot start. The message says why, and what to do."""


@contextmanager
def starting(what: str, advice: str) -> Iterator[None]:
    """Turn an OSError inside the block into a StartError."""
    try:
        yield
    except OSError as error:
        fault = error.strerror or str(error)
        if fault.startswith("error while attempting"):  # asyncio's own text, which repeats the address
            fault = os.strerror(error.errno or 0)
        raise StartError(f"{what} cannot be used: {fault}; {advice}") from None
