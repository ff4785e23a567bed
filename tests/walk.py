"""Follows data through our files: which are called first, in which order."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parents[1]
PACKAGES = ("agent", "central", "protocol", "runtime")


class Walk:
    """The files of ours that are called while ``recording``, each once, in the order of their first call."""

    def __init__(self) -> None:
        self.files: dict[str, None] = {}
        self._recording = False
        self._names: dict[str, str] = {}

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Threads that are made inside are followed too."""
        sys.setprofile(self._called)
        threading.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)

    @contextmanager
    def recording(self) -> Iterator[None]:
        self._recording = True
        try:
            yield
        finally:
            self._recording = False

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        if event == "call" and self._recording:
            path = frame.f_code.co_filename
            name = self._names.get(path)
            if name is None:
                name = self._names[path] = _ours(path)
            if name:
                self.files.setdefault(name)


def _ours(path: str) -> str:
    """The path below the project's folder; empty when the file is not of our packages."""
    if not path.startswith(f"{ROOT}/"):
        return ""
    name = path.removeprefix(f"{ROOT}/")
    return name if name.split("/")[0] in PACKAGES else ""
