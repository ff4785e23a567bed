"""Gauge values over restarts, so that ``+1`` goes on from where the last run stood.

The file is written before the batches of the window that changed it. After ``kill -9`` the gauges are
therefore as of the newest batch that is in the spool, or one window later, never older: a delta that
was reported once is never forgotten by a later value.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.disk import Disk
from agent.sealed import seal, unseal

_KIND: Final = "gauges"


class GaugeFile:
    """The file of one agent. Written only when a value changed."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self._path = path
        self._disk = disk
        self._saved: dict[str, str] = {}

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
        self._saved = gauges
        return dict(gauges)

    def save(self, gauges: Mapping[str, str]) -> None:
        """Keep ``gauges``. Raises OSError, and then the file is as it was."""
        if gauges != self._saved:
            self._disk.save(self._path, seal(_KIND, json.dumps(dict(gauges)).encode()))
            self._saved = dict(gauges)
