"""Batches between their window and central's 201. Does the ledger's books for all that is in the spool.

A batch's samples are ours from ``add`` on. ``persist`` makes it durable, and only then can it be sent.
Where the disk fails it stays in memory, can be sent from there, and is written as soon as the disk
works again. Whatever leaves is acknowledged, or counted as dropped for a reason.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from agent.ledger import Ledger
from agent.spool.batch import Batch, Unsure
from agent.spool.batch_file import child_names, encode, file_name, parent_name
from agent.spool.folder import SpoolFolder
from agent.spool.index import IndexEntry, SpoolIndex


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """``bytes`` and ``files`` bound the queue; ``memory_bytes`` what is held while the disk fails."""

    bytes: int = 1 << 30
    files: int = 100_000
    memory_bytes: int = 32 << 20


class Spool:
    """Call ``open`` first. ``run`` takes a blocking call off the event loop; all else is quick."""

    def __init__(
        self,
        folder: SpoolFolder,
        ledger: Ledger,
        limits: SpoolLimits,
        run: Callable[..., Awaitable[Any]] = asyncio.to_thread,
        boot: str = "",
    ) -> None:
        self.folder: Final = folder
        self.index: Final = SpoolIndex()
        self.replayed = 0
        """Dead letters taken back."""
        self.overflowing = False
        """Whether the last window pushed older batches out."""
        self._ledger = ledger
        self._limits = limits
        self._run = run
        self._boot = boot
        """Which boot of the host this is: what a clock of another one said cannot be put right."""
        self._in_memory: dict[str, Batch] = {}
        """Batches not on disk, in the order they came; in the index once the disk has failed them."""
        self._being_written: str | None = None
        self._unsure: dict[str, float] = {}
        """Batches that were never sent, with the base of the clock that gave their start: it may be wrong."""
        self._unreadable: dict[str, IndexEntry | None] = {}
        """Files that cannot be read now; None where nobody has read yet how many samples there are."""
        self._splitting: set[str] = set()
        """Parents whose halves may be on disk: not sent again, split again."""

    def open(self) -> None:
        """Take the folder and what the last run left in it; a bad file is never a reason to stop.

        Raises FolderInUseError, and OSError when the folder cannot be made or listed.
        """
        self.folder.open()
        found = dict(self.folder.read_queue())
        for name, entry in found.items():
            parent = parent_name(name)
            if parent is not None and parent in found:
                self._splitting.add(parent)
            elif entry is None:
                self._unreadable[name] = None
            else:
                self._recover(entry)
        self.take_replays()
        self._trim()

    def close(self) -> None:
        """Let go of the folder; the files stay for the next run."""
        self.folder.close()

    def add(self, batches: Iterable[Batch], unsure_base: float | None = None) -> None:
        """Take over batches and their samples. They are in memory until ``persist``.

        With ``unsure_base``, that of the clock, their start is what ``restamp`` may still change.
        """
        for batch in batches:
            unsure = None if unsure_base is None else Unsure(self._boot, unsure_base)
            self._in_memory[file_name(batch)] = batch._replace(unsure=unsure)
            if unsure_base is not None:
                self._unsure[file_name(batch)] = unsure_base
            self._ledger.in_spool += batch.total

    async def persist(self) -> None:
        """Write what is in memory, in the order it came. A failure is counted and ends the attempt.

        To be called by one task only, once per window.
        """
        for name, batch in list(self._in_memory.items()):
            if name not in self._in_memory:
                continue  # settled from memory meanwhile
            data = encode(batch)
            self._being_written = name
            try:
                await self._run(self.folder.save, name, data)
            except OSError as error:
                self.folder.failed(error)
                self.send_from_memory()
                break
            finally:
                self._being_written = None
            if self._in_memory.pop(name, None) is None:
                self.folder.forget(name)  # settled from memory while it was being written
                continue
            self.index.add(IndexEntry(name, batch.start, batch.total, len(data)))
            self.folder.counts.trouble = None
        self._trim()

    def take(self, entry: IndexEntry) -> Batch | None:
        """The batch to send; nothing pushes it out until one of the calls below settles it, or ``keep``.

        None when its file is damaged: it is put aside and its samples are counted. None also when it cannot be
        read now, see ``waits``: its samples stay in the spool, and ``read_again`` tries again.
        """
        try:
            batch = self._in_memory.get(entry.name) or self.folder.load(entry.name)
        except OSError as error:
            self.folder.failed(error)
            self.index.remove(entry)
            self._unreadable[entry.name] = entry
            return None
        if batch is None:
            self._leave(entry)
            self._ledger.drop("spool_corrupt", entry.samples)
            return None
        self.index.pinned = entry
        self._unsure.pop(entry.name, None)  # whether it is stored will not be known for certain
        if batch.unsure is None:
            return batch
        batch = batch._replace(unsure=None)
        if entry.name in self._in_memory:
            self._in_memory[entry.name] = batch
        else:  # after a restart, too, it must not move any more
            self.folder.try_to(partial(self.folder.save, entry.name, encode(batch)))
        return batch

    def waits(self, entry: IndexEntry) -> bool:
        """Whether a batch's file cannot be read now."""
        return entry.name in self._unreadable

    def read_again(self) -> None:
        """Try the files that could not be read; a sound one is back in its place, a damaged one is put aside."""
        for name, known in list(self._unreadable.items()):
            try:
                entry = self.folder.entry(name)
            except OSError:
                continue
            del self._unreadable[name]
            if entry is None and known is not None:
                self._ledger.in_spool -= known.samples
                self._ledger.drop("spool_corrupt", known.samples)
            elif known is not None:
                self.index.add(known)
            elif entry is not None:
                self._recover(entry)

    def keep(self) -> None:
        """The batch taken stays where it is."""
        self.index.pinned = None

    def acknowledge(self, entry: IndexEntry, rejected: Mapping[str, int]) -> None:
        """Central has it. ``rejected``: samples refused, by error code."""
        self._leave(entry)
        self._ledger.acknowledged += entry.samples - sum(rejected.values())
        for code, samples in rejected.items():
            self._ledger.drop(f"rejected_{code}", samples)
        self.folder.forget(entry.name)

    def bury(self, entry: IndexEntry, batch: Batch, code: str) -> None:
        """Central will never take it: a dead letter, counted as dropped until somebody replays it."""
        self._leave(entry)
        self._ledger.drop("dead_letter", entry.samples)
        self.folder.bury(entry.name, batch, code)

    def must_split(self, entry: IndexEntry) -> bool:
        """Whether a split of it was begun, so that only its halves may be sent."""
        return entry.name in self._splitting

    def try_split(self, entry: IndexEntry, batch: Batch) -> bool:
        """Put its halves in its place; False when the disk failed, then try again.

        Both are durable before the parent goes, and the parent's going is durable before either can be
        sent. So whatever moment a crash picks, a parent beside a half means that neither half was sent.
        """
        halves = batch.halves()
        if halves is None or entry.name == self._being_written:
            self.keep()
            return False
        self._splitting.add(entry.name)
        encoded = [(file_name(half), half, encode(half)) for half in halves]
        try:
            for name, _, data in encoded:
                self.folder.save(name, data)
            self.folder.remove_for_good(entry.name)
        except OSError as error:
            self.folder.failed(error)
            self.keep()
            if not self.folder.holds(entry.name):
                self._in_memory[entry.name] = batch
            return False
        self._remove(entry)
        for name, half, data in encoded:
            self.index.add(IndexEntry(name, half.start, half.total, len(data)))
        self.folder.counts.trouble = None
        return True

    def expire(self, before: float) -> None:
        """Drop batches whose window started before ``before``, in seconds: too old for central."""
        for entry in self.index.older_than(before):
            self._drop(entry, "spool_age")

    def restamp(self, shift: Callable[[float], int]) -> None:
        """The true time is known: move what was recorded under another base by ``shift`` of it, in seconds."""
        unsure, self._unsure = self._unsure, {}
        for name, base in unsure.items():
            if seconds := shift(base):
                self._move(name, seconds)

    async def last_persist(self) -> int:
        """Try once more to write what is in memory; returns the samples of what then ends with the process."""
        await self.persist()
        before = self._ledger.dropped["spool_write_failed"]
        for name, batch in list(self._in_memory.items()):
            if not all(map(self.folder.holds, child_names(name))):  # halves are sent in its place
                self._drop(IndexEntry(name, batch.start, batch.total, 0), "spool_write_failed")
        return self._ledger.dropped["spool_write_failed"] - before

    def take_replays(self) -> None:
        """Take dead letters that were put into replay/ back into the queue."""
        for entry in self.folder.read_replays():
            known = entry.name in self.index or entry.name in self._in_memory
            if self.folder.take_replay(entry.name) and not known:
                self._recover(entry)
                self.replayed += 1

    @property
    def unreadable(self) -> int:
        """Files that cannot be read now."""
        return len(self._unreadable)

    @property
    def in_memory(self) -> int:
        """Batches that are not on disk."""
        return len(self._in_memory)

    def _move(self, name: str, seconds: int) -> None:
        """Durable in its new place before it leaves the old. A crash between leaves both, under the one id."""
        entry = self.index.all.get(name)
        try:
            batch = self._in_memory.get(name) or (self.folder.load(name) if entry is not None else None)
        except OSError as error:
            self.folder.failed(error)
            return
        if batch is None:
            return  # gone, or damaged, which is seen when it is to be sent
        moved = batch.at(batch.start + seconds)
        if entry is not None and file_name(moved) in self.index:  # a crash had left both
            self.folder.forget(name)
            self._leave(entry)
            self._ledger.recovered -= entry.samples
            return
        data = encode(moved)
        if name in self._in_memory:
            del self._in_memory[name]
            self._in_memory[file_name(moved)] = moved
        else:
            try:
                self.folder.save(file_name(moved), data)
            except OSError as error:
                self.folder.failed(error)
                return
            self.folder.forget(name)
        if entry is not None:
            self.index.remove(entry)
            self.index.add(IndexEntry(file_name(moved), moved.start, moved.total, len(data)))

    def _recover(self, entry: IndexEntry) -> None:
        unsure = self.folder.unsure.pop(entry.name, None)
        if unsure is not None and unsure.boot and unsure.boot == self._boot:
            self._unsure[entry.name] = unsure.base
        self.index.add(entry)
        self._ledger.recovered += entry.samples
        self._ledger.in_spool += entry.samples

    def send_from_memory(self) -> None:
        """Let what the disk has not taken be sent as it is; the oldest that memory cannot hold are dropped."""
        size = 0
        for name, batch in reversed(list(self._in_memory.items())):
            entry = IndexEntry(name, batch.start, batch.total, len(encode(batch)))
            self.index.add(entry)
            size += entry.size
            if size > self._limits.memory_bytes and entry != self.index.pinned:
                self._drop(entry, "spool_write_failed")

    def _trim(self) -> None:
        self.overflowing = False
        for reason, entry in self.index.beyond(self._limits.bytes, self._limits.files):
            self.overflowing = True
            self._drop(entry, reason)

    def _drop(self, entry: IndexEntry, reason: str) -> None:
        """Count its samples as lost. Halves go first: a crash between leaves a parent that is whole."""
        if entry.name in self._splitting:
            for half in child_names(entry.name):
                self.folder.forget(half)
        self.folder.forget(entry.name)
        self._leave(entry)
        self._ledger.drop(reason, entry.samples)

    def _leave(self, entry: IndexEntry) -> None:
        self._remove(entry)
        self._ledger.in_spool -= entry.samples

    def _remove(self, entry: IndexEntry) -> None:
        self.index.remove(entry)
        self._in_memory.pop(entry.name, None)
        self._unsure.pop(entry.name, None)
        self._splitting.discard(entry.name)
