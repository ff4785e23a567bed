"""Stores gauge values over restarts, so that ``+1`` adds to the last value of the run before.

The gauges at the end of a window are written beside the file before the window's batches. They take its place when the
window is released. So after a kill the file has the gauges from which the window is redone, or those at its end if it
is not redone. When the window cannot be redone, because the host lost its power, the newer of the two are used: then no
later value loses a delta that was already reported.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Final

from agent.spool.checksummed import seal, unseal
from agent.spool.disk import Disk

NEXT: Final = "gauges.next.json"
"""The gauges at the end of a window that is not released yet."""
_KIND: Final = "gauges"
_AT_ONCE: Final = 1_000


class UnreadableGaugesError(Exception):
    """The file cannot be read now, which says nothing of what is in it."""


class GaugeFile:
    """The gauge file of one agent. It is written only when a value has changed since the last ``save``."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.unread = True
        """Whether the file has not been read yet. It must not be written before."""
        self._path = path
        self._next = path.with_name(NEXT)
        self._disk = disk
        self._saved: Mapping[str, Decimal] = {}
        self._prepared: Mapping[str, Decimal] | None = None

    def load(self) -> dict[str, str]:
        """Name -> exact decimal text. Empty when there is no file yet.

        Raises ValueError when the file is bad: the next ``save`` overwrites it. Raises UnreadableGaugesError when the
        file cannot be read now: then it stays ``unread``.
        """
        try:
            data = self._disk.read(self._path)
        except FileNotFoundError:
            data = None
        except ValueError:
            self.unread = False
            raise
        except OSError as error:
            raise UnreadableGaugesError(
                f"gauges.json cannot be read ({error.strerror}) and stays as it is; until it can be read, "
                "the gauges of this run are not kept, and those of the last run start from 0"
            ) from error
        self.unread = False
        if data is None:
            return {}
        gauges = json.loads(unseal(_KIND, data))
        if not isinstance(gauges, dict) or not all(isinstance(text, str) for text in gauges.values()):
            raise ValueError("is not a table of gauges")
        return gauges

    def save(self, gauges: Mapping[str, Decimal]) -> None:
        """Write ``gauges``. After an OSError the file has its old content."""
        self.prepare(gauges)
        self.commit()

    def prepare(self, gauges: Mapping[str, Decimal]) -> None:
        """Write ``gauges`` beside the file. ``load`` gives them only after ``commit``. Raises OSError.

        Run it in a thread. It consists of short calls, so that other threads can run between them.
        """
        self.commit()  # one that failed before
        if gauges != self._saved:
            self._disk.save(self._next, seal(_KIND, _to_json(gauges)))
            self._prepared = gauges

    def commit(self) -> None:
        """Let the gauges that ``prepare`` has written, if there are any, take the place of the file.

        Raises OSError; the next call tries again.
        """
        if self._prepared is not None:
            self._disk.rename(self._next, self._path)
            self._saved, self._prepared = self._prepared, None

    def settle(self, *, discard: bool) -> None:
        """At the start: discard what the last run has prepared and not committed, or commit it. Raises OSError."""
        if discard:
            self._disk.remove(self._next)
        else:
            with suppress(FileNotFoundError):
                self._disk.rename(self._next, self._path)


def _to_json(gauges: Mapping[str, Decimal]) -> bytes:
    left, chunks = iter(gauges.items()), []
    while some := list(islice(left, _AT_ONCE)):
        chunks.append(json.dumps({name: format(value, "f") for name, value in some})[1:-1])
    return f"{{{', '.join(chunks)}}}".encode()
