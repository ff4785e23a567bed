"""Lists a spool folder for people, and moves dead letters to be sent again. Works beside a running agent."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

from agent.spool.batch_file import decode, is_batch_name, parse_aside_name, parse_dead_name
from agent.spool.disk import read_file
from runtime.private_files import make_private_folder


class Listed(NamedTuple):
    """One file: its folder, its name, its bytes, and its content when it can be read.

    ``start`` is the window's start in seconds. ``code`` says why a dead letter was refused.
    """

    folder: str
    name: str
    size: int
    start: int | None = None
    items: int = 0
    samples: int = 0
    code: str = ""


def list_spool(folder: Path) -> Iterator[Listed]:
    """Every file of the queue, replay/, dead/ and corrupt/. Raises OSError when the folder cannot be read."""
    folder.stat()
    for part in ("queue", "replay", "dead", "corrupt"):
        where = folder / part
        for path in sorted(where.iterdir()) if where.is_dir() else ():
            try:
                yield _listed(part, path)
            except FileNotFoundError:
                continue  # it was sent meanwhile


def replay(folder: Path, watch: Callable[[list[Path]], AbstractContextManager[Iterable[Path]]] = nullcontext) -> int:
    """Move every dead letter, and every sound file of corrupt/, into replay/, where the agent fetches it.

    Returns how many files were moved. ``watch`` shows the progress. Each file is moved by one rename, so a running
    agent may fetch and remove files at the same time. Raises OSError, also when the folder does not exist.
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
    """The batch name of a file that was put aside. None when the file cannot be sent."""
    dead = parse_dead_name(path.name)
    if dead is not None:
        return dead.batch_name
    name = parse_aside_name(path.name)[1]
    try:
        decode(name, read_file(path))
    except (OSError, ValueError):
        return None
    return name


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
