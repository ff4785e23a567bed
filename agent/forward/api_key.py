"""The API key: from a setting, or from a file that is read again before each batch."""

import re
from pathlib import Path
from typing import Final

_KEY: Final = re.compile(r"[\x21-\x7e]{1,512}")


class BadKeyError(Exception):
    """There is no usable key. The message says what to do and never shows a key."""


class ApiKey:
    """``value`` is the key in use. Making one raises BadKeyError when there is no usable key."""

    def __init__(self, given: str | None, file: Path | None) -> None:
        self._file = file
        if file is not None:
            self.value = _read(file)
        elif given is not None:
            self.value = _checked(given, "FIESTA_AGENT_API_KEY")
        else:
            raise BadKeyError(
                "there is no API key: set FIESTA_AGENT_API_KEY, or FIESTA_AGENT_API_KEY_FILE to a file that holds it "
                "(`fiesta-central keys create NAME` makes one)"
            )

    def try_reread(self) -> bool:
        """Read the file again. Returns True when it has another key, now in use. A bad file changes nothing."""
        try:
            fresh = self.value if self._file is None else _read(self._file)
        except BadKeyError:
            return False
        changed = fresh != self.value
        self.value = fresh
        return changed


def _read(file: Path) -> str:
    try:
        text = file.read_text("ascii")
    except OSError as error:
        raise BadKeyError(f"FIESTA_AGENT_API_KEY_FILE: {file} cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadKeyError(f"FIESTA_AGENT_API_KEY_FILE: {file} must hold a key in plain ASCII") from None
    return _checked(text.strip(), f"FIESTA_AGENT_API_KEY_FILE: {file}")


def _checked(key: str, where: str) -> str:
    if _KEY.fullmatch(key):
        return key
    raise BadKeyError(f"{where} must hold one key of visible ASCII characters without spaces")
