"""Gauge values over restarts, so that ``+1`` goes on from where the last run stood.

The file is written before the batches of the window that changed it. After ``kill -9`` the gauges are
therefore as of the newest batch that is in the spool, or one window later, never older: a delta that
was reported once is never forgotten by a later value.
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


class GaugeFile:
    """The file of one agent. Written only when a value changed since the last ``save``."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._saved: Mapping[str, Decimal] = {}

    def load(self) -> dict[str, str]:
        """Name -> exact decimal text; empty when there is no file yet. Raises ValueError when it is bad.

        A bad file is overwritten by the next ``save``.
        """
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ValueError(f"cannot be read: {error.strerror}") from error
        gauges = json.loads(unseal(_KIND, data))
        if not isinstance(gauges, dict) or not all(isinstance(text, str) for text in gauges.values()):
            raise ValueError("is not a table of gauges")
        return gauges

    def save(self, gauges: Mapping[str, Decimal]) -> None:
        """Keep ``gauges``. Raises OSError, and then the file is as it was. For a thread, which others wait for little:
        no single call is long."""
        if gauges != self._saved:
            self._disk.save(self._path, seal(_KIND, _to_json(gauges)))
            self._saved = gauges


def _to_json(gauges: Mapping[str, Decimal]) -> bytes:
    left, parts = iter(gauges.items()), []
    while some := list(islice(left, _AT_ONCE)):
        parts.append(json.dumps({name: format(value, "f") for name, value in some})[1:-1])
    return f"{{{', '.join(parts)}}}".encode()
