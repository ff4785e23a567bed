"""One connection to MySQL 8 or MariaDB, its session pinned: the only file that knows the driver.

Errors come out as three kinds: ServerError (the statement failed, the session lives), Lost (the session is gone), and
StoreUnavailable (the server lives and refuses work). A connection that is not closed has read its answer to the end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

# The driver has no types, hence the marks on its imports and on classes made from its own.
import aiomysql  # type: ignore[import-untyped]
from aiomysql.connection import MySQLResult  # type: ignore[import-untyped]
from pymysql.constants import FIELD_TYPE  # type: ignore[import-untyped]
from pymysql.converters import decoders  # type: ignore[import-untyped]
from pymysql.err import MySQLError  # type: ignore[import-untyped]

from central.store.base import StoreError, StoreUnavailable

DUPLICATE: Final = 1062
NO_PARTITION: Final = 1526
AGAIN: Final = frozenset({1205, 1213, 1412})
"""Lock wait timeout, deadlock, table definition changed: the same transaction may go through next time."""
LEFT_OUT: Final = -1
"""LOAD DATA LOCAL did not store a text as it was."""
NOT_LOADED: Final = frozenset({LEFT_OUT, 1148, 3948})
"""The same, or the server takes no LOAD DATA LOCAL any more: an INSERT goes through, or tells why not."""
_GONE: Final = frozenset({1053, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031})
"""Errors after which the server ends the session: shutdown, killed, a broken packet, rested too long."""
_NO_SUCH_COMMAND: Final = 2000
_REFUSING: Final = frozenset(
    {3, 1021, 1026, 1028, 1030, 1037, 1038, 1040, 1041, 1114, 1180, 1203, 1226, 1290, 1317, 1792, 1836, 3100, 3101}
)
"""Disk or memory full, too many connections, read-only, a statement killed: no fault of what was asked."""
_TOO_LONG: Final = frozenset({1969, 3024})
PACKET_BYTES: Final = 512 * 1024
"""What is sent at once ends about here, far below any server's max_allowed_packet."""
_WAIT_SECONDS: Final = 120
"""How long a session may rest: the server ends it then, so that none whose client vanished keeps its locks."""
_MAY_LOAD: Final = "SHOW VARIABLES WHERE Variable_name IN ('local_infile', 'wsrep_load_data_splitting')"
"""The second: a cluster that commits a LOAD DATA in parts."""
_SQL_MODE: Final = "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"


class ServerError(StoreError):
    """The server refused one statement; the session goes on.

    ``code`` is the server's error number, ``at`` the statement's place among those sent together.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (error {code})")
        self.code = code
        self.at = 0


class Lost(StoreUnavailable):
    """The session ended. What was not committed by then never will be."""


@dataclass(frozen=True, slots=True)
class Server:
    """The address of the database, and the user name and password."""

    host: str
    port: int
    database: str
    user: str
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """What a session is for. ``select_seconds`` is the server's own limit of a SELECT; None for no limit."""

    lock_seconds: int = 3
    """How long a statement waits for a row or for a table that is being changed."""
    select_seconds: int | None = None
    prepare: tuple[str, ...] = ()
    """Statements run once when the session begins."""


class _Cursor(aiomysql.Cursor):  # type: ignore[misc]
    async def _show_warnings(self, conn: Any) -> None:
        """Ask for none: in strict mode what matters is an error, and it would cost a round trip."""


class _Result(MySQLResult):  # type: ignore[misc]
    """What one statement gave. LOAD DATA LOCAL gets the next of the texts that we mean to send, and never a file."""

    async def _read_load_local_packet(self, first_packet: Any) -> None:
        raw = self.connection
        text = raw.texts.pop(0) if raw.texts else b""
        for at in range(0, len(text), PACKET_BYTES):
            raw.write_packet(text[at : at + PACKET_BYTES])
        raw.write_packet(b"")
        self._read_ok_packet(await raw._read_packet())
        raw.left_out |= self.affected_rows != text.count(b"\n") or self.warning_count > 0


class _Raw(aiomysql.Connection):  # type: ignore[misc]
    texts: Sequence[bytes] = ()
    """What LOAD DATA LOCAL gets, in order."""
    left_out = False
    """Whether one of them did not become as many rows, or not as it was: LOAD DATA LOCAL makes warnings of errors."""

    async def _read_query_result(self, unbuffered: bool = False) -> None:
        self._result = None
        result = _Result(self)
        await result.read()
        self._result = result
        self._affected_rows = result.affected_rows
        if result.server_status is not None:
            self.server_status = result.server_status


class Connection:
    """A session. Made by ``connect``; whoever has it closes it."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self.loads = False
        """Whether the server takes LOAD DATA LOCAL, and in the open transaction."""

    @property
    def closed(self) -> bool:
        """Whether the session is over for us."""
        return bool(self._raw.closed)

    @property
    def server_id(self) -> int:
        """The session's id at the server."""
        return int(self._raw.thread_id())

    @property
    def is_mariadb(self) -> bool:
        """MariaDB, or else MySQL."""
        return "MariaDB" in self._raw.get_server_info()

    def close(self) -> None:
        """End the session at once, whatever it is doing; the server rolls back what is not committed."""
        self._raw.close()

    async def run(self, sql: str) -> int:
        """Run a statement without parameters; rows affected. Raises ServerError, Lost or StoreUnavailable."""
        try:
            return int(await self._raw.query(sql))
        except Exception as error:
            raise self._translated(error) from error

    async def run_all(self, statements: Sequence[str], texts: Sequence[bytes] = ()) -> list[list[tuple[Any, ...]]]:
        """Run statements without parameters, several in one packet. Returns the rows of each.

        ``texts`` are what each LOAD DATA LOCAL among them takes for its file, a row per line. Where one of them did not
        become what it says this raises ServerError with LEFT_OUT; an INSERT of the same would tell why.
        The server stops at the first that it refuses. A round trip less is much where the loop has other work.
        """
        answers: list[list[tuple[Any, ...]]] = []
        self._raw.texts, self._raw.left_out = list(texts), False
        try:
            for packet in _packets(statements):
                cursor = await self._raw.cursor(_Cursor)
                await cursor.execute(packet)
                answers.append(cursor._rows or [])
                while await cursor.nextset():
                    answers.append(cursor._rows or [])
        except Exception as error:
            translated = self._translated(error)
            if isinstance(translated, ServerError):
                translated.at = len(answers)
            raise translated from error
        if self._raw.left_out:
            raise ServerError(LEFT_OUT, "LOAD DATA left something out")
        return answers

    async def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement with ``%s`` for each parameter; its rows, DECIMALs with four decimals as whole units."""
        return (await self._execute(sql, parameters))._rows or []

    async def insert(self, sql: str, parameters: Sequence[object]) -> int:
        """Run an INSERT; the AUTO_INCREMENT id it was given."""
        return int((await self._execute(sql, parameters)).lastrowid)

    async def change(self, sql: str, parameters: Sequence[object]) -> int:
        """Run an UPDATE or DELETE; rows affected."""
        return int((await self._execute(sql, parameters)).rowcount)

    async def _execute(self, sql: str, parameters: Sequence[object]) -> Any:
        try:
            cursor = await self._raw.cursor(_Cursor)
            await cursor.execute(sql, tuple(parameters) or None)
        except Exception as error:
            raise self._translated(error) from error
        return cursor

    def _translated(self, error: Exception) -> StoreError:
        if not isinstance(error, MySQLError):
            self.close()
            return Lost(f"the connection to the database broke: {error!r}")
        code, message = _code_and_message(error)
        if code in _GONE or code >= _NO_SUCH_COMMAND or code == 0 or self.closed:
            self.close()
            return Lost(f"the connection to the database was lost: {message}")
        return _refusal(code, message)


async def connect(server: Server, session: Session) -> Connection:
    """Log in and pin the session. Raises StoreUnavailable; the caller bounds the time."""
    raw = _Raw(
        host=server.host,
        port=server.port,
        user=server.user,
        password=(server.password or "").encode().decode("latin1"),  # the driver sends latin1 and not UTF-8
        db=server.database,
        charset="utf8mb4",
        autocommit=None,
        conv=_DECODERS,
        local_infile=True,  # without a text of ours the server gets nothing, whatever file it asks for
    )
    connection = Connection(raw)
    try:
        await raw.ping(reconnect=True)  # logs in; what aiomysql.connect makes is lost where that is cancelled
        for statement in _pins(session, is_mariadb=connection.is_mariadb) + session.prepare:
            await connection.run(statement)
        found = dict(await connection.rows(_MAY_LOAD))
        connection.loads = found.get("local_infile") == "ON" and found.get("wsrep_load_data_splitting", "OFF") == "OFF"
    except StoreError as error:
        connection.close()
        raise StoreUnavailable(str(error)) from error
    except Exception as error:
        connection.close()
        message = _code_and_message(error)[1] if isinstance(error, MySQLError) else repr(error)
        raise StoreUnavailable(
            f"the database {server.database} at {server.host}:{server.port} cannot be reached as {server.user}:"
            f" {error.__cause__ or message}"
        ) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _pins(session: Session, *, is_mariadb: bool) -> tuple[str, ...]:
    pinned = (
        f"SET SESSION autocommit = 1, sql_mode = '{_SQL_MODE}', time_zone = '+00:00',"
        f" innodb_lock_wait_timeout = {session.lock_seconds}, lock_wait_timeout = {session.lock_seconds},"
        f" wait_timeout = {_WAIT_SECONDS}, group_concat_max_len = {1 << 24}"
    )
    if session.select_seconds is not None:
        limit = f"max_statement_time = {session.select_seconds}"
        pinned += f", {limit if is_mariadb else f'max_execution_time = {session.select_seconds * 1000}'}"
    return pinned, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"


def _packets(statements: Sequence[str]) -> Iterator[str]:
    packet: list[str] = []
    size = 0
    for statement in statements:
        if packet and size + len(statement) > PACKET_BYTES:
            yield ";".join(packet)
            packet, size = [], 0
        packet.append(statement)
        size += len(statement) + 1
    if packet:
        yield ";".join(packet)


def _refusal(code: int, message: str) -> StoreError:
    if code in _TOO_LONG:
        return StoreUnavailable("the query took too long; ask for less")
    if code in _REFUSING:
        return StoreUnavailable(f"the database refuses: {message} (error {code})")
    return ServerError(code, message)


def _code_and_message(error: MySQLError) -> tuple[int, str]:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return code, str(error.args[-1] if error.args else error)


def _units(text: str) -> int:
    return int(text.replace(".", ""))


_DECODERS: Final = {**decoders, FIELD_TYPE.NEWDECIMAL: _units, FIELD_TYPE.DECIMAL: _units}
"""Every DECIMAL that we read has four decimals, so its digits without the point are its units."""
