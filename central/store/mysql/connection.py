"""One connection to MySQL 8 or MariaDB, with fixed session variables. Only this file uses the driver.

It raises three kinds of errors: ServerError (a statement failed, the session goes on), Lost (the session is gone), and
StoreUnavailable (the server refuses work). A connection that is not closed has read its last answer completely.
"""

import re
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

# The driver has no types, hence the marks on its imports and on classes made from its own.
import aiomysql
from aiomysql.connection import MySQLResult
from pymysql.constants import FIELD_TYPE
from pymysql.constants.CLIENT import SSL
from pymysql.constants.SERVER_STATUS import SERVER_STATUS_IN_TRANS
from pymysql.converters import decoders
from pymysql.err import MySQLError, OperationalError
from pymysql.protocol import EOFPacketWrapper

from central.store.base import StoreError, StoreUnavailable
from runtime.addresses import join_address

DUPLICATE: Final = 1062
NO_PARTITION: Final = 1526
ROLLED_BACK: Final = 1213
"""A deadlock. In a Galera cluster also: another node changed the same rows first. The transaction is gone."""
AGAIN: Final = frozenset({1205, ROLLED_BACK, 1412, 8002, 8005, 8022, 8028, 9007})
"""Lock wait timeout, rolled back, table definition changed, TiDB's conflicts: the same transaction may succeed next
time."""
LEFT_OUT: Final = -1
"""Our own code: LOAD DATA LOCAL did not store every line exactly as it was."""
NOT_LOADED: Final = frozenset({LEFT_OUT, 1148, 3948})
"""LEFT_OUT, or the server no longer allows LOAD DATA LOCAL. An INSERT of the same rows works, or says why not."""
_GONE: Final = frozenset({1053, 1080, 1152, 1153, 1158, 1159, 1160, 1161, 1184, 1927, 3169, 4031})
"""Errors after which the server ends the session: shutdown, killed, a broken packet, idle for too long."""
_NO_SUCH_COMMAND: Final = 2000
_REFUSING: Final = frozenset(
    {3, 1021, 1026, 1028, 1030, 1037, 1038, 1040, 1041, 1047, 1114, 1180, 1203, 1226, 1290, 1317, 1792, 1836}
    | {3100, 3101, 3168, *range(9001, 9007)}
)
"""Disk or memory full, too many connections, read-only, a statement killed, a Galera node without its cluster (1047),
TiDB's storage away, Vitess without a server (3168) or with a transaction that it ended (1317): the statement itself is
not at fault."""
_UNKNOWN: Final = 1105
_VITESS_AWAY: Final = re.compile(r"code = (?:Unavailable|ClusterEvent|FailedPrecondition|Aborted)\b|CLUSTER_EVENT")
"""Vitess has no number of its own for a fail-over. Its errors are 1105 with a text like this."""
_NO_TLS: Final = 2026
_TOO_LONG: Final = frozenset({1969, 3024})
PACKET_BYTES: Final = 512 * 1024
"""About the most bytes that are sent in one packet: far below every server's max_allowed_packet."""
_WAIT_SECONDS: Final = 120
"""The server ends a session that is idle for this long. So a session whose client vanished does not keep its locks."""
_ABOUT_SERVER: Final = "SHOW VARIABLES WHERE Variable_name IN ('local_infile', 'wsrep_on', 'wsrep_load_data_splitting')"
"""wsrep_on is set on a node of a Galera cluster.
wsrep_load_data_splitting is set in a cluster that commits one LOAD DATA in several transactions."""
_SQL_MODE: Final = "STRICT_ALL_TABLES,STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"


class ServerError(StoreError):
    """The server refused one statement; the session goes on.

    ``code`` is the server's error number. ``at`` is the statement's index among those that were sent together.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{message} (error {code})")
        self.code = code
        self.at = 0


class Lost(StoreUnavailable):
    """The session ended. The server rolls back what was not committed."""


class TooSlow(StoreUnavailable):
    """The statement itself took too long. Another server would hardly be faster."""


@dataclass(frozen=True, slots=True)
class Server:
    """The address of the database, and the user name and password."""

    host: str
    port: int
    database: str
    user: str
    password: str | None = field(default=None, repr=False)
    tls: ssl.SSLContext | None = field(default=None, repr=False, compare=False)
    """How the connection is encrypted; None for not at all."""

    @property
    def address(self) -> str:
        """``host:port``."""
        return join_address(self.host, self.port)


@dataclass(frozen=True, slots=True)
class Session:
    """The options of a session. ``select_seconds`` is the server's time limit for a SELECT; None for no limit."""

    lock_seconds: int = 3
    """How long a statement waits for a locked row or table."""
    idle_seconds: int | None = None
    """How long a transaction that has changed rows waits for its next statement, on MariaDB; None for no limit. Then
    the server ends the session."""
    select_seconds: int | None = None
    causal: bool = False
    """Before a read, a node of a cluster waits until it has what the cluster has committed. So a reader sees what
    another node has acknowledged."""
    prepare: tuple[str, ...] = ()
    """Statements to run once when the session begins."""


class _Cursor(aiomysql.Cursor):  # type: ignore[misc]
    async def _show_warnings(self, conn: Any) -> None:
        """Do not ask for warnings: in strict mode faults are errors, and it would cost a round trip."""


class _Result(MySQLResult):  # type: ignore[misc]
    """The result of one statement. LOAD DATA LOCAL gets the next of our texts, and never a file."""

    async def _read_load_local_packet(self, first_packet: Any) -> None:
        raw = self.connection
        text = raw.texts.pop(0) if raw.texts else b""
        for at in range(0, len(text), PACKET_BYTES):
            raw.write_packet(text[at : at + PACKET_BYTES])
        raw.write_packet(b"")
        self._read_ok_packet(await raw._read_packet())
        raw.left_out |= self.affected_rows != text.count(b"\n") or self.warning_count > 0

    def _check_packet_is_eof(self, packet: Any) -> bool:
        """Take the server's status also from the end of rows. The driver takes it only from an OK."""
        if not packet.is_eof_packet():
            return False
        end = EOFPacketWrapper(packet)
        self.warning_count, self.has_next, self.server_status = end.warning_count, end.has_next, end.server_status
        return True


class _Raw(aiomysql.Connection):  # type: ignore[misc]
    texts: Sequence[bytes] = ()
    """The texts for LOAD DATA LOCAL, in order."""
    left_out = False
    """Whether a text became fewer rows, or other values. LOAD DATA LOCAL only warns where an INSERT would fail."""
    left_transaction = False
    """Whether a statement ended outside a transaction."""

    async def _request_authentication(self) -> None:
        """Send no password over a connection that should be encrypted and is not. The driver would."""
        if self._ssl_context and not self.server_capabilities & SSL:
            raise OperationalError(_NO_TLS, "DB_TLS_CA is set, but the server does not offer TLS")
        await super()._request_authentication()

    async def _read_query_result(self, unbuffered: bool = False) -> None:
        self._result = None
        result = _Result(self)
        await result.read()
        self._result = result
        self._affected_rows = result.affected_rows
        if result.server_status is not None:
            self.server_status = result.server_status
            self.left_transaction |= not result.server_status & SERVER_STATUS_IN_TRANS


class Connection:
    """A session. ``connect`` makes it; its holder must close it."""

    def __init__(self, raw: Any, server: Server) -> None:
        self._raw = raw
        self.server = server
        self.outdated = False
        """Whether this connection leads to a server that is no longer used. Nobody should begin new work with it."""
        self.loads = False
        """Whether the server allows LOAD DATA LOCAL and runs it within the open transaction."""
        self.in_cluster = False
        """Whether the server is a node of a Galera cluster."""

    @property
    def closed(self) -> bool:
        """Whether the connection is closed on our side."""
        return bool(self._raw.closed)

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction was open after the last statement that succeeded, as the server said."""
        return bool(self._raw.server_status & SERVER_STATUS_IN_TRANS)

    @property
    def server_id(self) -> int:
        """The session's id at the server."""
        return int(self._raw.thread_id())

    @property
    def is_mariadb(self) -> bool:
        """True for MariaDB, False for MySQL."""
        return "MariaDB" in self._raw.get_server_info()

    @property
    def locks_reads_alone(self) -> bool:
        """Whether a locking read keeps out only sessions of the same node (Galera), or nobody at all (TiDB)."""
        return self.in_cluster or "TiDB" in self._raw.get_server_info()

    def close(self) -> None:
        """End the session at once, also during a statement. The server rolls back what is not committed."""
        self._raw.close()

    async def run(self, sql: str) -> int:
        """Run a statement without parameters; return the rows affected. Raises ServerError, Lost, StoreUnavailable."""
        try:
            return int(await self._raw.query(sql))
        except Exception as error:
            raise self._translated(error) from error

    async def run_all(self, statements: Sequence[str], texts: Sequence[bytes] = ()) -> list[list[tuple[Any, ...]]]:
        """Run statements of a transaction, without parameters, several per packet. Returns the rows of each statement.

        Raises ServerError with ROLLED_BACK if the transaction was gone after one of them. A Galera node may roll back
        in the middle of a packet, say nothing, and commit each of the packet's other statements. So it gets each
        statement in a packet of its own.

        ``texts`` are the contents for each LOAD DATA LOCAL among them, a row per line. If a text was not stored
        exactly, this raises ServerError with LEFT_OUT; an INSERT of the same rows would say why.
        The server stops at the first statement that it refuses. Fewer packets mean fewer round trips, which matter
        while the event loop is busy.
        """
        answers: list[list[tuple[Any, ...]]] = []
        self._raw.texts, self._raw.left_out, self._raw.left_transaction = list(texts), False, False
        try:
            for packet in statements if self.in_cluster else _packets(statements):
                cursor = await self._raw.cursor(_Cursor)
                await cursor.execute(packet)
                answers.append(cursor._rows or [])
                while await cursor.nextset():
                    answers.append(cursor._rows or [])
                if self._raw.left_transaction:
                    break
        except Exception as error:
            translated = self._translated(error)
            if isinstance(translated, ServerError):
                translated.at = len(answers)
            raise translated from error
        if self._raw.left_transaction:
            raise ServerError(ROLLED_BACK, "the server rolled the transaction back without an error")
        if self._raw.left_out:
            raise ServerError(LEFT_OUT, "LOAD DATA left something out")
        return answers

    async def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """Run a statement with ``%s`` for each parameter; return its rows. DECIMAL(n, 4) values are whole units."""
        return (await self._execute(sql, parameters))._rows or []

    async def records(self, sql: str) -> list[dict[str, Any]]:
        """Run a statement whose columns differ between servers; return its rows by the names of their columns."""
        cursor = await self._execute(sql, ())
        return [dict(zip((name for name, *_ in cursor.description), row, strict=True)) for row in cursor._rows or []]

    async def insert(self, sql: str, parameters: Sequence[object]) -> int:
        """Run an INSERT; return its AUTO_INCREMENT id."""
        return int((await self._execute(sql, parameters)).lastrowid)

    async def change(self, sql: str, parameters: Sequence[object]) -> int:
        """Run an UPDATE or DELETE; return the rows affected."""
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
        return refusal(code, message)


async def connect(server: Server, session: Session) -> Connection:
    """Log in and set the session's variables. Raises StoreUnavailable. The caller limits the time."""
    raw = _Raw(
        host=server.host,
        port=server.port,
        user=server.user,
        password=(server.password or "").encode().decode("latin1"),  # the driver encodes as latin1; this sends UTF-8
        db=server.database,
        charset="utf8mb4",
        autocommit=None,
        conv=_DECODERS,
        ssl=server.tls,
        local_infile=True,  # safe: whatever file the server asks for, it gets only our texts
    )
    connection = Connection(raw, server)
    try:
        await raw.ping(reconnect=True)  # logs in. A cancelled aiomysql.connect would leak its connection
        for statement in _pins(session, is_mariadb=connection.is_mariadb) + session.prepare:
            await connection.run(statement)
        found = dict(await connection.rows(_ABOUT_SERVER))
        connection.in_cluster = found.get("wsrep_on") == "ON"
        if session.causal and connection.in_cluster:
            await connection.run("SET SESSION wsrep_sync_wait = 1")
        connection.loads = found.get("local_infile") == "ON" and found.get("wsrep_load_data_splitting", "OFF") == "OFF"
    except StoreError as error:
        connection.close()
        raise StoreUnavailable(str(error)) from error
    except Exception as error:
        connection.close()
        message = _code_and_message(error)[1] if isinstance(error, MySQLError) else repr(error)
        raise StoreUnavailable(
            f"the database {server.database} at {server.address} cannot be reached as {server.user}:"
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
    if session.idle_seconds is not None and is_mariadb:
        pinned += f", idle_write_transaction_timeout = {session.idle_seconds}"
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


def refusal(code: int, message: str) -> StoreError:
    """What an error of the server means, if the session goes on."""
    if code in _TOO_LONG:
        return TooSlow("the query took too long; ask for a shorter range or fewer names")
    if code in _REFUSING or (code == _UNKNOWN and _VITESS_AWAY.search(message)):
        return StoreUnavailable(f"the database refuses: {message} (error {code})")
    return ServerError(code, message)


def _code_and_message(error: MySQLError) -> tuple[int, str]:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return code, str(error.args[-1] if error.args else error)


def _units(text: str) -> int:
    return int(text.replace(".", ""))


_DECODERS: Final = {**decoders, FIELD_TYPE.NEWDECIMAL: _units, FIELD_TYPE.DECIMAL: _units}
"""Every DECIMAL that we read has four decimals. So its digits without the point are its units."""
