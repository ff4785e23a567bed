"""The spool's folder: where its files are and how they move. It counts no samples; agent.spool.spool does.

SPOOL_DIR/lock           locked while an agent runs
         /gauges.json    see agent.spool.gauge_file
         /agent-id       see agent.spool.agent_id
         /journal        see agent.journal
         /queue/         batches to send; each is one file that never changes
         /dead/          batches that central refused for good, with a limit
         /replay/        dead letters to send again; a running agent takes them at each window
         /corrupt/       files that are not what we wrote, with a limit
"""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from agent.spool.batch import Batch, Unsure
from agent.spool.batch_file import aside_name, dead_name, decode, encode, is_batch_name, parse_aside_name, window_of
from agent.spool.disk import READ_ONLY, TEMPORARY, Disk, lock_folder
from agent.spool.index import IndexEntry
from runtime.private_files import make_private_folder


@dataclass(frozen=True, slots=True)
class AsideLimits:
    """How much may be in each of dead/ and corrupt/. Those that came first are removed first."""

    bytes: int = 64 << 20
    files: int = 1_000


@dataclass(slots=True)
class FolderCounts:
    """Counts since the start."""

    corrupt_files: int = 0
    dead_letters: int = 0
    dead_letters_removed: int = 0
    disk_failures: int = 0
    trouble: str | None = None
    """Why the disk failed last. None again after a write has worked."""


class SpoolFolder:
    """Call ``open`` first. Only the event loop uses it, except that ``save`` may run in a thread."""

    def __init__(self, path: Path, disk: Disk, limits: AsideLimits) -> None:
        self.path: Final = path
        self.counts: Final = FolderCounts()
        self.unsure: Final[dict[str, Unsure]] = {}
        """Batches that were read and whose start may be wrong, with their clock."""
        self._disk = disk
        self._limits = limits
        self._lock: int | None = None
        self._queue, self._dead, self._replay, self._corrupt = (
            path / name for name in ("queue", "dead", "replay", "corrupt")
        )

    def open(self) -> None:
        """Make and lock the folder, unless it is locked. If it is there and cannot be written, the agent works without.

        Raises FolderInUseError, and OSError when it cannot be made.
        """
        if self._lock is not None:
            return
        try:
            make_private_folder(self.path)
        except OSError as error:
            if error.errno not in READ_ONLY or not self.path.is_dir():
                raise
        self._lock = lock_folder(self.path)
        for folder in (self._queue, self._dead, self._replay, self._corrupt):
            self.try_to(partial(make_private_folder, folder))
        for folder in (self.path, self.path.parent):
            self.try_to(partial(self._disk.sync_folder, folder))

    def try_discard(self, windows: Collection[str]) -> bool:
        """Remove the batches of these windows. Returns False when the disk failed."""

        def discard() -> None:
            for path in self._files(self._queue):
                if is_batch_name(path.name) and window_of(path.name) in windows:
                    self._disk.remove(path)

        return self.try_to(discard)

    def close(self) -> None:
        """Release the lock. The files stay for the next run."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def try_to(self, change: Callable[[], object]) -> bool:
        """Change the disk. Returns False when that failed; the failure is counted and remembered as ``trouble``."""
        try:
            change()
        except OSError as error:
            self.failed(error)
            return False
        return True

    def failed(self, error: OSError) -> None:
        """Count a failure of the disk."""
        self.counts.disk_failures += 1
        self.counts.trouble = f"{error.strerror or error} in {self.path}"

    def read_queue(self) -> Iterator[tuple[str, IndexEntry | None]]:
        """The name and entry of each file that the last run left. The entry is None when the file cannot be read now.

        Temporary files are removed, bad ones put aside. Raises OSError when the folder cannot be listed.
        """
        for path in self._files(self._queue):
            if path.name.endswith(TEMPORARY):
                self.try_to(path.unlink)
                continue
            try:
                entry = self.entry(path.name)
            except OSError as error:
                self.failed(error)
                yield path.name, None
            else:
                if entry is not None:
                    yield path.name, entry

    def entry(self, name: str) -> IndexEntry | None:
        """The entry of a file of the queue. A damaged file is put aside and gives None. Raises OSError as ``load``."""
        return self._entry(self._queue / name)

    def read_replays(self) -> Iterator[IndexEntry]:
        """The entries of replay/. Move each into the queue with ``take_replay``. Unreadable files stay there.

        Raises OSError when the folder cannot be listed.
        """
        for path in self._files(self._replay):
            if path.suffix != ".batch":
                continue
            try:
                entry = self._entry(path)
            except OSError as error:
                self.failed(error)
                continue
            if entry is not None:
                yield entry

    def take_replay(self, name: str) -> bool:
        """Move a batch from replay/ to the queue, over a file of the same name. Returns False when the disk failed."""
        return self.try_to(lambda: self._disk.move(self._replay / name, self._queue / name))

    def load(self, name: str) -> Batch | None:
        """A batch of the queue. None when its file is gone, or damaged and then put aside.

        Raises OSError when the file cannot be read now. It may be sound, so it stays where it is.
        """
        return self._read(self._queue / name)[0]

    def save(self, name: str, data: bytes) -> None:
        """Write a batch's bytes durably into the queue. After an OSError the file may not survive a crash."""
        try:
            self._disk.save(self._queue / name, data)
        except FileNotFoundError:  # the folder could not be written at the start
            self._queue.mkdir(0o700)
            self._disk.save(self._queue / name, data)

    def forget(self, name: str) -> None:
        """Unlink a batch. A crash may bring it back. Then it is sent again, and its id stops a second storing."""
        self.try_to(lambda: self._disk.remove(self._queue / name))

    def remove_for_good(self, name: str) -> None:
        """Unlink a batch so that no crash brings it back. After an OSError it may be there or not."""
        self._disk.remove(self._queue / name)
        self._disk.sync_folder(self._queue)

    def holds(self, name: str) -> bool:
        """Whether the queue has a file of that name."""
        return (self._queue / name).exists()

    def bury(self, name: str, batch: Batch, code: str) -> None:
        """Make a batch a dead letter, from the queue or from memory. When the disk fails, the batch is lost."""
        target = self._aside(self._dead, dead_name(name, code))
        if self.holds(name):
            buried = self.try_to(lambda: self._disk.move(self._queue / name, target))
        else:
            buried = self.try_to(lambda: self._disk.save(target, encode(batch)))
        if not buried:
            self.forget(name)
        self.counts.dead_letters += 1
        self.counts.dead_letters_removed += self._cap(self._dead)

    def _entry(self, path: Path) -> IndexEntry | None:
        batch, size = self._read(path)
        if batch is None:
            return None
        if batch.unsure is not None:
            self.unsure[path.name] = batch.unsure
        return IndexEntry(path.name, batch.start, batch.total, size)

    def _read(self, path: Path) -> tuple[Batch | None, int]:
        """A file's batch and its size. A file with bad content is put aside. Raises OSError for other faults."""
        try:
            if not is_batch_name(path.name):
                raise ValueError("has a name that is not ours")
            data = self._disk.read(path)
            return decode(path.name, data), len(data)
        except (FileNotFoundError, ValueError):
            self._put_aside(path)
            return None, 0

    def _put_aside(self, path: Path) -> None:
        """Move a bad file to corrupt/. When that fails, it stays where it is and is not used."""
        self.counts.corrupt_files += 1
        with suppress(FileNotFoundError):
            self.try_to(lambda: self._disk.move(path, self._aside(self._corrupt, path.name)))
        self._cap(self._corrupt)

    def _files(self, folder: Path) -> list[Path]:
        try:
            return [folder / name for name in sorted(self._disk.names(folder))]
        except FileNotFoundError:  # it could not be made, and has nothing
            return []

    def _aside(self, folder: Path, name: str) -> Path:
        """Where a file is put aside: behind all others of the folder. Its order is in its name, so no clock changes it.

        When the folder cannot be listed, the file counts as one that came first.
        """
        others = list[Path]()
        self.try_to(lambda: others.extend(self._files(folder)))
        return folder / aside_name(1 + max((_turn(path)[0] for path in others), default=0), name)

    def _cap(self, folder: Path) -> int:
        """Unlink the files of a folder that came first until it is within its limits. Returns how many.

        A replay or an administrator may remove files from it at the same time. When the folder cannot be listed now,
        the next call tries again.
        """
        files: list[tuple[Path, int]] = []
        self.try_to(lambda: files.extend(_sizes(sorted(self._files(folder), key=_turn))))
        size, removed = sum(size for _, size in files), 0
        for path, file_size in files:
            if len(files) - removed <= self._limits.files and size <= self._limits.bytes:
                break
            if self.try_to(partial(self._disk.remove, path)):
                size -= file_size
                removed += 1
        return removed


def _turn(path: Path) -> tuple[int, str]:
    """Sorts files that were put aside in the order in which they came."""
    return parse_aside_name(path.name)


def _sizes(paths: list[Path]) -> Iterator[tuple[Path, int]]:
    """Each file with its bytes."""
    for path in paths:
        with suppress(FileNotFoundError):
            yield path, path.lstat().st_size
