"""Batches from their window until central's 201. The spool counts their samples in the ledger.

The spool owns a batch's samples from ``add`` on. ``persist`` makes the batch durable, and only then can it be sent.
When the disk fails, the batch stays in memory and can be sent from there. It is written when the disk works again.
A batch that leaves the spool is acknowledged, or dropped and counted with a reason.
"""

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from agent.ledger import Ledger
from agent.spool.batch import Batch, Unsure
from agent.spool.batch_file import child_names, encode, file_name, parent_name
from agent.spool.disk import in_thread
from agent.spool.folder import SpoolFolder
from agent.spool.index import IndexEntry, SpoolIndex


@dataclass(frozen=True, slots=True)
class SpoolLimits:
    """``bytes`` and ``files`` bound the queue. ``memory_bytes`` bounds what is in memory while the disk fails."""

    bytes: int = 1 << 30
    files: int = 100_000
    memory_bytes: int = 32 << 20


class Spool:
    """Call ``open`` first. ``run`` runs a blocking call outside the event loop. All other methods are quick."""

    def __init__(
        self,
        folder: SpoolFolder,
        ledger: Ledger,
        limits: SpoolLimits,
        run: Callable[..., Awaitable[Any]] = in_thread,
        boot: str = "",
    ) -> None:
        self.folder: Final = folder
        self.index: Final = SpoolIndex()
        self.replayed = 0
        """Dead letters that were taken back into the queue."""
        self.overflowing = False
        """Whether batches of the last window have pushed out older ones."""
        self.when_sent_from_memory: Callable[[], object] = lambda: None
        """Called before batches that are not on disk can be sent."""
        self._ledger = ledger
        self._limits = limits
        self._run = run
        self._boot = boot
        """The id of this boot of the host. Only a start from the same boot can be corrected."""
        self._in_memory: dict[str, Batch] = {}
        """Batches that are not on disk, in the order they came. They are in the index once a write has failed."""
        self._being_written: str | None = None
        self._unsure: dict[str, float] = {}
        """Batches that were never sent and whose start may be wrong, with the base of their clock."""
        self._unreadable: dict[str, IndexEntry | None] = {}
        """Files that cannot be read now. None when their number of samples is not known yet."""
        self._splitting: set[str] = set()
        """Parents whose halves may be on disk. They are never sent again but split again."""

    def open(self) -> None:
        """Lock the folder, unless it is locked, and take over what the last run left. A bad file does not stop it.

        Raises FolderInUseError, and OSError when the folder cannot be made or listed.
        """
        self.folder.open()
        queue = dict(self.folder.read_queue())
        for name, entry in queue.items():
            parent = parent_name(name)
            if parent is not None and parent in queue:
                self._splitting.add(parent)
            elif entry is None:
                self._unreadable[name] = None
            else:
                self._recover(entry)
        self.folder.try_to(self.take_replays)  # each window tries again
        self._trim()

    def bound(self, limits: SpoolLimits) -> None:
        """Use these limits from the next write on."""
        self._limits = limits

    def close(self) -> None:
        """Release the folder. The files stay for the next run."""
        self.folder.close()

    def add(self, batches: Iterable[Batch], unsure_base: float | None = None) -> None:
        """Take over batches and their samples. They are in memory until ``persist``.

        ``unsure_base`` is the base of a clock that may be wrong. With it, ``restamp`` may still change their start.
        """
        for batch in batches:
            unsure = None if unsure_base is None else Unsure(self._boot, unsure_base)
            self._in_memory[file_name(batch)] = batch._replace(unsure=unsure)
            if unsure_base is not None:
                self._unsure[file_name(batch)] = unsure_base
            self._ledger.in_spool += batch.total

    def not_written(self) -> set[str]:
        """The ids of the batches in memory."""
        return {batch.id for batch in self._in_memory.values()}

    async def persist(
        self, release: Callable[[], object] = lambda: None, chosen: Collection[str] | None = None
    ) -> None:
        """Write what is in memory, in the order it came. A failure is counted and ends the attempt.

        When all is written, ``release`` is called, and only then can it be sent: until then, a start after a kill
        removes the files and makes them anew. ``chosen`` are the ids of the batches to write; None for all.
        Only one task may call it, once per window.
        """
        written: dict[str, int] = {}
        ids = self.not_written() if chosen is None else chosen
        while left := [name for name, batch in self._in_memory.items() if batch.id in ids and name not in written]:
            try:
                for name in left:
                    await self._write(name, written)
            except OSError as error:
                self.folder.failed(error)
                release()
                self._publish(written)
                self.send_from_memory()
                break
        else:
            release()
            self._publish(written)
        self._trim()

    async def _write(self, name: str, written: dict[str, int]) -> None:
        batch = self._in_memory.get(name)
        if batch is None:
            return  # it was sent from memory meanwhile, or was moved to another start
        data = encode(batch)
        self._being_written = name
        try:
            await self._run(self.folder.save, name, data)
        finally:
            self._being_written = None
        self.folder.counts.trouble = None
        written[name] = len(data)

    def _publish(self, written: Mapping[str, int]) -> None:
        """Let batches that are on disk be sent."""
        for name, size in written.items():
            batch = self._in_memory.pop(name, None)
            if batch is None:
                self.folder.forget(name)  # it was sent from memory during the write
            else:
                self.index.add(IndexEntry(name, batch.start, batch.total, size))

    def take(self, entry: IndexEntry) -> Batch | None:
        """Load the batch to send and pin it: no limit removes it until it is settled below, or ``unpin``.

        None when its file is damaged: the file is put aside and the samples count as dropped. None also when the file
        cannot be read now (see ``waits``): the samples stay in the spool, and ``read_again`` tries again.
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
        self._unsure.pop(entry.name, None)  # from now on central may have it, so its start must not change
        if batch.unsure is None:
            return batch
        batch = batch._replace(unsure=None)
        if entry.name in self._in_memory:
            self._in_memory[entry.name] = batch
        else:  # its start must not change after a restart either
            self.folder.try_to(partial(self.folder.save, entry.name, encode(batch)))
        return batch

    def waits(self, entry: IndexEntry) -> bool:
        """Whether a batch's file cannot be read now."""
        return entry.name in self._unreadable

    def read_again(self) -> None:
        """Read again the files that could not be read. Sound ones return to the index, damaged ones are put aside."""
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

    def unpin(self) -> None:
        """End the pin of the batch that ``take`` gave. The batch stays in the spool."""
        self.index.pinned = None

    def acknowledge(self, entry: IndexEntry, rejected: Mapping[str, int]) -> None:
        """Remove a batch that central has stored. ``rejected``: samples that it refused, by error code."""
        self._leave(entry)
        self._ledger.acknowledged += entry.samples - sum(rejected.values())
        for code, samples in rejected.items():
            self._ledger.drop(f"rejected_{code}", samples)
        self.folder.forget(entry.name)

    def bury(self, entry: IndexEntry, batch: Batch, code: str) -> None:
        """Make a batch that central refuses for good a dead letter. It counts as dropped until you replay it."""
        self._leave(entry)
        self._ledger.drop("dead_letter", entry.samples)
        self.folder.bury(entry.name, batch, code)

    def must_split(self, entry: IndexEntry) -> bool:
        """Whether a split of this batch was begun, so that only its halves may be sent."""
        return entry.name in self._splitting

    def try_split(self, entry: IndexEntry, batch: Batch) -> bool:
        """Replace a batch by its two halves. Returns False when the disk failed; then try again.

        Both halves are durable before the parent is removed, and the removal is durable before a half can be sent.
        So after a crash, a parent beside a half means that neither half was sent.
        """
        halves = batch.halves()
        if halves is None or entry.name == self._being_written:
            self.unpin()
            return False
        self._splitting.add(entry.name)
        encoded = [(file_name(half), half, encode(half)) for half in halves]
        try:
            for name, _, data in encoded:
                self.folder.save(name, data)
            self.folder.remove_for_good(entry.name)
        except OSError as error:
            self.folder.failed(error)
            self.unpin()
            if not self.folder.holds(entry.name):
                self._in_memory[entry.name] = batch
            return False
        self._remove(entry)
        for name, half, data in encoded:
            self.index.add(IndexEntry(name, half.start, half.total, len(data)))
        self.folder.counts.trouble = None
        return True

    def expire(self, before: float) -> None:
        """Drop batches whose window started before ``before`` (seconds), because they are too old for central."""
        for entry in self.index.older_than(before):
            self._drop(entry, "spool_age")

    def restamp(self, shift: Callable[[float], int]) -> None:
        """Correct the starts that may be wrong, now that the true time is known.

        ``shift`` returns for the base of a clock by how many seconds to move a start.
        """
        unsure, self._unsure = self._unsure, {}
        for name, base in unsure.items():
            if seconds := shift(base):
                self._move(name, seconds)

    async def last_persist(self) -> int:
        """Try once more to write what is in memory. Returns how many samples are lost with the process."""
        await self.persist()
        before = self._ledger.dropped["spool_write_failed"]
        for name, batch in list(self._in_memory.items()):
            if not all(map(self.folder.holds, child_names(name))):  # else the next run sends the halves
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
        """How many files cannot be read now."""
        return len(self._unreadable)

    @property
    def in_memory(self) -> int:
        """How many batches are not on disk."""
        return len(self._in_memory)

    def _move(self, name: str, seconds: int) -> None:
        """Move a batch to another start. The new file is durable before the old one is removed.

        A crash between the two leaves both files with the same id.
        """
        entry = self.index.all.get(name)
        try:
            batch = self._in_memory.get(name) or (self.folder.load(name) if entry is not None else None)
        except OSError as error:
            self.folder.failed(error)
            return
        if batch is None:
            return  # it is gone, or damaged: ``take`` deals with that
        moved = batch.at(batch.start + seconds)
        if entry is not None and file_name(moved) in self.index:  # a crash has left both files
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
        """Let batches be sent that are not on disk. The oldest ones over the memory limit are dropped."""
        self.when_sent_from_memory()
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
        """Remove a batch and count its samples as dropped. Its halves go first, so a crash leaves a whole parent."""
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
