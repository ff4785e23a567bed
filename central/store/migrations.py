"""Plain numbered SQL, forward only, each file once, checked by its checksum."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NamedTuple

OnMigration = Callable[[str, int, int], object]
"""Called before each migration: its name, its place among those to be applied, from 1, and how many these are."""


class MigrationError(Exception):
    """The files and the database do not belong together. The message says what to do."""


class Migration(NamedTuple):
    """One file: its name without ``.sql``, its text and the text's SHA-256."""

    name: str
    sql: str
    checksum: str


def load(store: str) -> list[Migration]:
    """The migrations of ``duckdb`` or ``mysql`` in order: from the wheel, or from the source tree beside us."""
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
    """Those still to be applied, given name -> checksum of those that were.

    Raises MigrationError when an applied one was edited, or is not known to this version.
    """
    names = {migration.name for migration in known}
    for name in applied:
        if name not in names:
            raise MigrationError(f"the database has migration {name}, which this version does not know: upgrade it")
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
