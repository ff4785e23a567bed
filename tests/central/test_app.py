"""central/app.py: the first start, the admin key, migrations, and everything that prevents a start."""

import asyncio
import errno
import re
import shutil
import socket
import stat
from dataclasses import replace
from pathlib import Path

import aiohttp
import duckdb
import pytest

from central.access.auth import parse_key
from central.access.first_key import ADMIN_KEY_FILE
from central.app import Outside, migrate, serve
from central.settings import Settings, load_settings
from central.store.base import Group, StoreUnavailable
from central.store.duck.store import DuckStore
from central.store.migrations import load
from tests.central.harness import QUICK_HASH, Central, Overlay, faulty, launch, process, running

TLS = Path(__file__).parents[1] / "data" / "tls"
GIVEN = "given-by-an-operator-0123456789abcdef"


def settings(folder: Path, **environ: str) -> Settings:
    return load_settings({"METRICS_LISTEN": "127.0.0.1:0", "METRICS_DATA_DIR": str(folder), **environ})


async def ended(made: Settings) -> None:
    """A service that ends as soon as it has started."""
    stop = asyncio.Event()
    stop.set()
    await serve(made, stop=stop, outside=Outside(bcrypt_cost=QUICK_HASH))


def files(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def keys(central: Central) -> list[tuple[str, str, bool]]:
    rows = (await central.ask("GET", "/api/admin/keys")).json["data"]
    return [(row["name"], row["prefix"], row["revoked_at"] is not None) for row in rows]


# --- the first start


async def test_the_first_start_makes_a_folder_and_a_private_key(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    async with running(folder) as central:
        text = (folder / ADMIN_KEY_FILE).read_text()
        assert re.fullmatch(r"gf_[a-z0-9]{12}_[A-Za-z0-9_-]{43}\n", text)
        assert stat.S_IMODE((folder / ADMIN_KEY_FILE).stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert await keys(central) == [("admin", text[:15], False)]
        for method, path in (("GET", "/api/admin/keys"), ("GET", "/api/metrics")):
            assert (await central.ask(method, path)).status == 200
        assert (await central.counter("a")).status == 201


async def test_what_others_could_read_is_private_after_a_start(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    async with process(folder) as (made, central):
        await central.counter("a")
        assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
        await made.end()
    for path in (folder, *folder.iterdir()):
        path.chmod(0o777)
    async with running(folder):
        assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (folder, *folder.iterdir())} == {0}


async def test_a_second_start_keeps_the_key_and_the_data(tmp_path: Path) -> None:
    async with running(tmp_path) as central:
        await central.counter("a")
        first = central.key
    async with running(tmp_path) as central:
        assert central.key == first
        assert len(await keys(central)) == 1
        assert await central.total("a") == 1


async def test_a_crash_between_the_key_file_and_its_row_is_healed(tmp_path: Path) -> None:
    async with running(tmp_path) as central:
        key = central.key
    for left in files(tmp_path, "fiesta.duckdb*"):
        left.unlink()
    async with running(tmp_path) as central:
        assert central.key == key
        assert await keys(central) == [("admin", key[:15], False)]


@pytest.mark.parametrize("torn", ["", "gf_half", "é", "\x00" * 20])
async def test_a_torn_key_file_is_replaced(tmp_path: Path, torn: str) -> None:
    (tmp_path / ADMIN_KEY_FILE).write_text(torn)
    (tmp_path / f"{ADMIN_KEY_FILE}.tmp").write_text("left behind")
    async with running(tmp_path) as central:
        parse_key(central.key)
        assert (await central.ask("GET", "/api/admin/keys")).status == 200
        assert not (tmp_path / f"{ADMIN_KEY_FILE}.tmp").exists()
        assert stat.S_IMODE((tmp_path / ADMIN_KEY_FILE).stat().st_mode) == 0o600


async def test_after_the_last_admin_key_is_revoked_a_start_makes_a_new_one(tmp_path: Path) -> None:
    async with running(tmp_path) as central:
        old = central.key
        assert (await central.ask("DELETE", "/api/admin/keys/1?force=true")).status == 200
        assert (await central.ask("GET", "/api/admin/keys")).status == 401
    async with running(tmp_path) as central:
        assert central.key != old
        assert [revoked for _, _, revoked in await keys(central)] == [True, False]


async def test_the_key_given_by_a_setting_works_and_is_never_stored(tmp_path: Path) -> None:
    async with running(tmp_path, {"METRICS_ADMIN_KEY": GIVEN}) as central:
        assert central.key == GIVEN
        assert [name for name, _, _ in await keys(central)] == ["admin"]
        for reply in (await central.counter("a"), await central.counter("a", headers={"Idempotency-Key": "k"})):
            assert reply.status == 201
        assert (await central.counter("a", headers={"Idempotency-Key": "k"})).headers["Idempotency-Replayed"] == "true"
        of_file = (tmp_path / ADMIN_KEY_FILE).read_text().strip()
        assert (await central.ask("GET", "/api/admin/keys", key=of_file)).status == 200
        assert (await central.ask("GET", "/api/admin/keys", key=GIVEN[:-1])).status == 401
    assert not any(GIVEN.encode() in file.read_bytes() for file in files(tmp_path, "*"))


@pytest.mark.parametrize("what", ["backup", "export"])
async def test_what_a_backup_or_an_export_left_behind_is_gone(tmp_path: Path, what: str) -> None:
    for name in (f"{what}-1.tmp", f"{what}-2.tmp.rows.wal"):
        (tmp_path / name).write_text("half")
    await ended(settings(tmp_path))
    assert not files(tmp_path, f"{what}-*")


async def test_a_signal_during_the_start_is_not_lost(tmp_path: Path) -> None:
    await ended(settings(tmp_path))  # the stop was there before the start was over


# --- migrate


def test_migrate_brings_the_store_up_to_date_and_makes_the_first_key(tmp_path: Path) -> None:
    made = settings(tmp_path / "data")
    names, steps = [migration.name for migration in load("duckdb")], []
    assert migrate(made, lambda *step: steps.append(step)) == names
    assert steps == [(name, place, len(names)) for place, name in enumerate(names, 1)]
    assert migrate(made) == []
    parse_key((tmp_path / "data" / ADMIN_KEY_FILE).read_text().strip())


def test_a_migration_that_was_changed_stops_the_start(tmp_path: Path) -> None:
    made = settings(tmp_path)
    migrate(made)
    with duckdb.connect(str(tmp_path / "fiesta.duckdb")) as handle:
        handle.execute("UPDATE migrations SET checksum = 'another'")
    with pytest.raises(match="migration 0001_initial was changed after it was applied"):
        migrate(made)


def test_a_store_of_a_later_version_stops_the_start(tmp_path: Path) -> None:
    made = settings(tmp_path)
    migrate(made)
    with duckdb.connect(str(tmp_path / "fiesta.duckdb")) as handle:
        handle.execute("INSERT INTO migrations VALUES ('9999_later', 'x', 0)")
    with pytest.raises(match="9999_later, which is newer than this program"):
        migrate(made)


async def test_migrate_beside_a_running_service_says_so(tmp_path: Path) -> None:
    async with process(tmp_path):
        with pytest.raises(match="another process uses the data folder"):
            await asyncio.to_thread(migrate, settings(tmp_path))


# --- what stops a start


async def test_a_folder_that_cannot_be_made_stops_the_start(tmp_path: Path) -> None:
    made = settings(tmp_path / "file" / "data")
    (tmp_path / "file").write_text("")
    with pytest.raises(match=r"METRICS_DATA_DIR \S+ cannot be used: "):
        await serve(made)


async def test_a_file_that_is_no_database_stops_the_start_with_its_own_words(tmp_path: Path) -> None:
    folder = tmp_path / "blocks"
    folder.mkdir()
    (folder / "fiesta.duckdb").write_bytes(b"nonsense" * 4096)
    with pytest.raises(match="cannot be opened") as caught:
        await serve(settings(folder))
    assert "another process" not in str(caught.value)
    assert (folder / "fiesta.duckdb").read_bytes() == b"nonsense" * 4096


async def test_a_port_in_use_is_told_as_what_it_is_and_the_store_is_released(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(OSError, match="address already in use") as caught:
            await serve(settings(tmp_path, METRICS_LISTEN=f"127.0.0.1:{taken.getsockname()[1]}"))
        assert caught.value.errno == errno.EADDRINUSE
    async with running(tmp_path) as central:
        assert (await central.counter("a")).status == 201


async def test_certificates_that_vanish_stop_the_start(tmp_path: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        shutil.copy(TLS / name, tmp_path)
    environ = {"METRICS_TLS_CERT": str(tmp_path / "cert.pem"), "METRICS_TLS_KEY": str(tmp_path / "key.pem")}
    made = settings(tmp_path / "data", **environ)
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(match="METRICS_TLS_CERT and METRICS_TLS_KEY cannot be used"):
        await serve(made)


@pytest.mark.parametrize(
    ("environ", "code", "line"),
    [
        ({"METRICS_LISTEN": "nowhere"}, 2, "Error: METRICS_LISTEN is 'nowhere'"),
        ({"METRICS_RETENTION_DAYS": "7"}, 2, "Error: METRICS_RETENTION_DAYS is '7'"),
        (
            {"METRICS_LISTEN": "192.0.2.1:0", "METRICS_BEHIND_PROXY": "true"},
            1,
            "Error: 192.0.2.1:0 is not an address of this host",
        ),
    ],
)
async def test_what_stops_a_start_is_one_clear_line(
    tmp_path: Path, environ: dict[str, str], code: int, line: str
) -> None:
    ended_process = await launch(tmp_path, **environ)
    assert await ended_process.wait() == code
    loud = [text for text in ended_process.log if '"level": "info"' not in text]
    assert len(loud) == 1
    assert loud[0].startswith(line)


async def test_a_stop_waits_no_longer_than_it_may_for_a_commit_that_hangs(tmp_path: Path) -> None:
    arrived = asyncio.Event()

    class Stuck(Overlay):
        async def commit(self, group: Group, *, again: bool = False) -> None:
            arrived.set()
            await asyncio.Event().wait()

    outside = replace(faulty(Stuck), drain_seconds=0.05)
    async with running(tmp_path, outside=outside) as central:
        hanging = asyncio.create_task(central.counter("a", headers={"Idempotency-Key": "k"}))
        await arrived.wait()
    with pytest.raises(aiohttp.ClientError):  # no answer is better than a wrong one
        await hanging
    async with running(tmp_path) as central:
        assert await central.total("a") == 0
        assert (await central.counter("a", headers={"Idempotency-Key": "k"})).status == 201


async def test_a_stop_closes_the_store_also_after_a_fault_of_ours(tmp_path: Path) -> None:
    async def break_off(*, idle: bool) -> None:
        raise RuntimeError("a fault of ours")

    stores: list[DuckStore] = []

    def wrap(real: DuckStore) -> Overlay:
        stores.append(real)
        return Overlay(real, tidy=break_off)

    with pytest.raises(RuntimeError, match="a fault of ours"):
        async with running(tmp_path, outside=faulty(wrap)) as central:
            assert (await central.counter("a")).status == 201
    with pytest.raises(StoreUnavailable, match="closed"):
        await stores[0].ping()
