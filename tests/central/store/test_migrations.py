"""central/store/migrations.py: which files are applied in which order, and when that is refused."""

import hashlib
from pathlib import Path

import pytest

from central.store import migrations
from central.store.migrations import Migration, MigrationError, load, pending

ONE, TWO, THREE = (Migration(f"000{number}_x", f"SELECT {number}", f"sum{number}") for number in (1, 2, 3))


def applied(*done: Migration) -> dict[str, str]:
    return {migration.name: migration.checksum for migration in done}


@pytest.mark.parametrize(
    ("done", "expected"),
    [((), [ONE, TWO, THREE]), ((ONE,), [TWO, THREE]), ((ONE, TWO, THREE), []), ((TWO,), [ONE, THREE])],
)
def test_what_was_not_applied_is_pending_in_order(done: tuple[Migration, ...], expected: list[Migration]) -> None:
    assert pending([ONE, TWO, THREE], applied(*done)) == expected


@pytest.mark.parametrize(
    ("done", "message"),
    [
        ({"0001_x": "edited"}, "migration 0001_x was changed after it was applied: restore the file"),
        ({"0009_later": "sum9"}, "migration 0009_later, which is newer than this program: upgrade it"),
    ],
)
def test_a_database_that_does_not_fit_is_refused(done: dict[str, str], message: str) -> None:
    with pytest.raises(MigrationError, match=message):
        pending([ONE, TWO], done)


def test_the_files_of_a_store_are_read_from_the_source_tree() -> None:
    first = load("duckdb")[0]
    assert first.name == "0001_initial"
    assert first.checksum == hashlib.sha256(first.sql.encode()).hexdigest()


def test_the_files_in_the_wheel_come_first_in_order_of_their_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "migrations" / "duckdb"
    folder.mkdir(parents=True)
    for name in ("0010_c.sql", "0002_b.sql", "0001_a.sql", "notes.txt"):
        (folder / name).write_text(f"-- {name} ü", encoding="utf-8")
    monkeypatch.setattr(migrations, "files", lambda package: tmp_path)
    assert [migration.name for migration in load("duckdb")] == ["0001_a", "0002_b", "0010_c"]
    assert load("duckdb")[0].sql == "-- 0001_a.sql ü"
