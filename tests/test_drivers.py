"""Parts of drivers that we override or reach for, although their makers promise nothing about them.

A new version may change them without a word. So each such driver has an upper bound in ``pyproject.toml``.
When a test here fails after an upgrade, read the driver's new code, change ours, then change the table and the bound.
"""

import inspect
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import aiomysql
import aiomysql.connection
import pytest
from aiohttp import http_exceptions, web
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[1]
DRIVERS = ("aiohttp", "aiomysql")

METHODS: tuple[tuple[type, str, str], ...] = (
    (web.AppRunner, "_make_server", "self"),
    (web.Server, "__call__", "self"),
    (web.RequestHandler, "connection_made", "self transport"),
    (web.RequestHandler, "data_received", "self data"),
    (web.RequestHandler, "connection_lost", "self exc"),
    (web.RequestHandler, "finish_response", "self request resp start_time"),
    (web.RequestHandler, "handle_error", "self request status exc message"),
    (aiomysql.Cursor, "_show_warnings", "self conn"),
    (aiomysql.Connection, "_request_authentication", "self"),
    (aiomysql.Connection, "_read_query_result", "self unbuffered"),
    (aiomysql.Connection, "_read_packet", "self packet_type"),
    (aiomysql.Connection, "write_packet", "self payload"),
    (aiomysql.connection.MySQLResult, "read", "self"),
    (aiomysql.connection.MySQLResult, "_read_load_local_packet", "self first_packet"),
    (aiomysql.connection.MySQLResult, "_read_ok_packet", "self first_packet"),
    (aiomysql.connection.MySQLResult, "_check_packet_is_eof", "self packet"),
)
"""Class, method, and the names of its parameters in order."""

ATTRIBUTES: tuple[tuple[type, str], ...] = (
    (web.Server, "_loop"),
    (web.Server, "_kwargs"),
    (web.RequestHandler, "_manager"),
    (web.RequestHandler, "_current_request"),
    (web.RequestHandler, "_parser"),
    (web.RequestHandler, "_waiter"),
    (web.RequestHandler, "_task_handler"),
    (aiomysql.Connection, "_ssl_context"),
    (aiomysql.Connection, "_result"),
    (aiomysql.Connection, "_affected_rows"),
    (aiomysql.Connection, "server_status"),
    (aiomysql.Cursor, "_rows"),
    (aiomysql.connection.MySQLResult, "connection"),
    (aiomysql.connection.MySQLResult, "affected_rows"),
    (aiomysql.connection.MySQLResult, "server_status"),
    (aiomysql.connection.MySQLResult, "warning_count"),
    (aiomysql.connection.MySQLResult, "has_next"),
)
"""Class, and what each of its objects has from its beginning."""


def source(owner: type) -> str:
    """The text of the class, and of those of the same driver that it is made from."""
    driver = owner.__module__.partition(".")[0]
    return "".join(inspect.getsource(base) for base in owner.__mro__ if base.__module__.startswith(driver))


def private(pattern: str, text: str) -> set[str]:
    return set(re.findall(pattern, text))


def label(part: object) -> str:
    return part.__name__ if isinstance(part, type) else str(part)


@pytest.mark.parametrize(("owner", "name", "parameters"), METHODS, ids=label)
def test_a_method_that_we_override_or_call_has_its_parameters(owner: type, name: str, parameters: str) -> None:
    method = inspect.getattr_static(owner, name, None)
    assert method is not None, f"{owner.__module__}.{owner.__name__} has no {name} any more, which we override or call"
    found = " ".join(inspect.signature(method).parameters)
    assert found == parameters, f"{owner.__module__}.{owner.__name__}.{name} takes ({found}) and not ({parameters})"


@pytest.mark.parametrize(("owner", "name"), ATTRIBUTES, ids=label)
def test_an_attribute_that_we_reach_for_is_made_with_its_object(owner: type, name: str) -> None:
    made = rf"self\.{name}\b[^=\n]*= "
    assert re.search(made, source(owner)), f"{owner.__module__}.{owner.__name__} sets no {name} any more, which we use"


def test_a_server_of_aiohttp_may_become_one_of_ours() -> None:
    """Our runner gives the server that it got another class, which takes the same layout of both."""

    class Ours(web.Server):
        pass

    server = web.Server.__new__(web.Server)
    server.__class__ = Ours
    assert isinstance(server, Ours)


def test_a_connection_of_aiohttp_takes_the_options_that_we_give() -> None:
    taken = inspect.signature(web.RequestHandler.__init__).parameters
    assert {"loop", "access_log", "auto_decompress", "max_line_size", "max_field_size"} <= set(taken)


def test_the_parser_of_aiohttp_tells_tls_by_the_words_that_we_look_for() -> None:
    assert http_exceptions.BadHttpMethod("\x16\x03").message.startswith("Received HTTPS")


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_private_part_that_we_share_with_a_driver_is_listed(driver: str) -> None:
    """Also a name of ours that a driver has by chance: in a class made from the driver's it would override it."""
    parts = [part[:2] for part in METHODS] + list(ATTRIBUTES)
    listed = {name for _, name in parts}
    owners = {owner for owner, _ in parts if owner.__module__.startswith(driver)}
    theirs = set().union(*(private(r"(?:\.|def )(_[a-z]\w*)", source(owner)) for owner in owners))
    files = [path for package in ("agent", "central", "protocol") for path in sorted((ROOT / package).rglob("*.py"))]
    texts = {path: path.read_text() for path in files}
    using = {
        path: text for path, text in texts.items() if re.search(rf"^(?:from|import) {driver}\b", text, re.MULTILINE)
    }
    assert using
    shared = {
        (str(path.relative_to(ROOT)), name)
        for path, text in using.items()
        for name in private(r"(?:\.|def )(_[a-z]\w*)", text) & theirs - listed
    }
    assert shared == set(), f"{driver} has these names too: list them here, or give ours other names"


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_driver_whose_private_parts_we_use_has_an_upper_bound(driver: str) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (asked,) = (found for found in map(Requirement, extras["central"]) if found.name == driver)
    tested = Version(version(driver))
    after = f"{tested.major}.{tested.minor + 1}"
    assert asked.specifier.contains(tested)
    assert not asked.specifier.contains(after), f"say {driver}<{after} in pyproject.toml: {tested} is what was tested"
