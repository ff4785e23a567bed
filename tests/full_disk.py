"""A log on a full disk."""

import errno
import io


class FullDisk(io.StringIO):
    """A stream that takes nothing while it is ``full``."""

    full = True

    def flush(self) -> None:
        if self.full:
            self.truncate(self.seek(0))
            raise OSError(errno.ENOSPC, "full")
