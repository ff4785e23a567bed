"""Stores gauge values over restarts, so that ``+1`` adds to the last value of the run before.

The file is written before the batches of the window that changed it. So after ``kill -9`` the gauges are those of the
newest batch in the spool or of one window later. They are never older, so no later value loses a delta that was
already reported.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Final

from agent.spool.checksummed import seal, unseal
from agent.spool.disk import Disk

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
        self._disk = disk
        self._saved: Mapping[str, Decimal] = {}

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
        """Write ``gauges``. After an OSError the file has its old content.

        Run it in a thread. It consists of short calls, so that other threads can run between them.
        """
        if gauges != self._saved:
            self._disk.save(self._path, seal(_KIND, _to_json(gauges)))
            self._saved = gauges


def _to_json(gauges: Mapping[str, Decimal]) -> bytes:
    left, chunks = iter(gauges.items()), []
    while some := list(islice(left, _AT_ONCE)):
        chunks.append(json.dumps({name: format(value, "f") for name, value in some})[1:-1])
    return f"{{{', '.join(chunks)}}}".encode()
