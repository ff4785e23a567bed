"""What lies in a spool folder, for people, and how dead letters come back. Works beside a running agent."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from agent.spool.batch_file import decode, is_batch_name, parse_dead_name
from agent.spool.disk import read_file
from runtime.private_files import make_private_folder


class Listed(NamedTuple):
    """One file: the folder it is in, its name, bytes, and, where it can be read, what is in it.

    ``start`` is the window's start in seconds; ``code`` says why a dead letter was refused.
    """

    folder: str
    name: str
    size: int
    start: int | None = None
    items: int = 0
    samples: int = 0
    code: str = ""


def list_spool(folder: Path) -> Iterator[Listed]:
    """Every file of the queue, replay/, dead/ and corrupt/. Raises OSError when there is no such folder to read."""
    folder.stat()
    for part in ("queue", "replay", "dead", "corrupt"):
        where = folder / part
        for path in sorted(where.iterdir()) if where.is_dir() else ():
            try:
                yield _listed(part, path)
            except FileNotFoundError:
                continue  # sent meanwhile


def replay(folder: Path, watch: Callable[[list[Path]], AbstractContextManager[Iterable[Path]]] = nullcontext) -> int:
    """Move every dead letter, and every file of corrupt/ that is sound after all, to where the agent fetches it from.

    Returns how many. ``watch`` shows how far it is.

    One rename each, so that a running agent may fetch, and remove, at the same time. Raises OSError, also where there
    is no such folder.
    """
    folder.stat()
    moved = 0
    with watch(sorted([*(folder / "dead").glob("*.dead"), *(folder / "corrupt").glob("*.batch")])) as paths:
        for path in paths:
            name = _replayed_name(path)
            if name is not None:
                make_private_folder(folder / "replay")
                path.rename(folder / "replay" / name)
                moved += 1
    return moved


def _replayed_name(path: Path) -> str | None:
    """The name of the batch in a file that was put aside; None when it is none that could be sent."""
    dead = parse_dead_name(path.name)
    if dead is not None:
        return dead.batch_name
    try:
        decode(path.name, read_file(path))
    except (OSError, ValueError):
        return None
    return path.name


def _listed(part: str, path: Path) -> Listed:
    dead = parse_dead_name(path.name)
    name = dead.batch_name if dead else path.name
    size = path.lstat().st_size
    if part != "corrupt" and is_batch_name(name):
        try:
            batch = decode(name, read_file(path))
        except ValueError:
            return Listed(part, path.name, size, code="damaged")
        except FileNotFoundError:
            raise
        except OSError:
            return Listed(part, path.name, size, code="unreadable")
        return Listed(part, path.name, size, batch.start, len(batch.items), batch.total, dead.code if dead else "")
    return Listed(part, path.name, size)
