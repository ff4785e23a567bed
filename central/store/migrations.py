"""Migrations: numbered SQL files. Each is applied once, forward only. A checksum shows if one was edited afterwards."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

OnMigration = Callable[[str, int, int], object]
"""Called before each migration with its name, its number among the pending ones (from 1), and how many there are."""


class MigrationError(Exception):
    """The migration files do not fit the database, or one failed. The message says what to do."""


class Migration(NamedTuple):
    """One file: its name without ``.sql``, its text, and the SHA-256 of the text."""

    name: str
    sql: str
    checksum: str


def load(store: str) -> list[Migration]:
    """The migrations of ``duckdb`` or ``mysql`` in order, from the installed package or from the source tree."""
    folder: Traversable = files("central") / "migrations" / store
    if not folder.is_dir():
        folder = Path(__file__).parents[2] / "migrations" / store
    found = []
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".sql"):
            sql = entry.read_text(encoding="utf-8")
            found.append(Migration(entry.name.removesuffix(".sql"), sql, hashlib.sha256(sql.encode()).hexdigest()))
    return found


def pending(known: list[Migration], applied: Mapping[str, str]) -> list[Migration]:
    """The migrations in ``known`` that are not applied yet. ``applied`` maps names to checksums.

    Raises MigrationError if an applied migration was edited, or if this version does not have it.
    """
    names = {migration.name for migration in known}
    for name in applied:
        if name not in names:
            raise MigrationError(f"the database has migration {name}, which is newer than this program: upgrade it")
    for migration in known:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationError(f"migration {migration.name} was changed after it was applied: restore the file")
    return [migration for migration in known if migration.name not in applied]


def one_by_one(todo: Sequence[Migration], on_migration: OnMigration | None) -> Iterator[Migration]:
    """Each migration in turn; ``on_migration`` is called before each."""
    for place, migration in enumerate(todo, 1):
        if on_migration is not None:
            on_migration(migration.name, place, len(todo))
        yield migration
