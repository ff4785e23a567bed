"""central/store/mysql/connection.py: which errors of a server mean that it is away. Those of Vitess are by reading."""

import pytest

from central.store.base import StoreUnavailable
from central.store.mysql.connection import ServerError, refusal


@pytest.mark.parametrize(
    ("code", "message", "away"),
    [
        (1047, "WSREP has not yet prepared node for application use", True),
        (1290, "The MariaDB server is running with the --read-only option", True),
        (1317, "vttablet: rpc error: code = Aborted desc = transaction 5: ended", True),
        (3168, "no healthy tablet available", True),
        (9001, "PD server timeout", True),
        (1105, "target: ks.0.primary: vttablet: rpc error: code = Unavailable desc = connection closed", True),
        (1105, "vttablet: rpc error: code = ClusterEvent desc = operation not allowed in state NOT_SERVING", True),
        (1105, "Unknown error", False),
        (1105, "code = InvalidArgument desc = no", False),
        (1062, "Duplicate entry", False),
    ],
)
def test_an_error_says_whether_the_server_is_away(code: int, message: str, away: bool) -> None:
    error = refusal(code, message)
    assert isinstance(error, StoreUnavailable if away else ServerError)
    assert message in str(error)
