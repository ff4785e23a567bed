"""A small file system in memory where we may mount one, to be filled and freed."""

import subprocess
from contextlib import suppress
from pathlib import Path


class SmallDisk:
    """A ``folder`` made on a file system of ``size`` as tmpfs has it; not ``is_real`` where none may be mounted."""

    def __init__(self, folder: Path, size: str) -> None:
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        self.is_real = subprocess.run(mount, check=False, capture_output=True).returncode == 0
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self) -> None:
        """Until nothing fits; nothing is done where it is not real."""
        if self.is_real:
            with self._ballast.open("wb", buffering=0) as ballast, suppress(OSError):
                while True:
                    ballast.write(bytes(4096))

    def free(self) -> None:
        """There is room again."""
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        """End the file system."""
        if self.is_real:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
