"""Is everything as an agent needs it? One finding for each question, in the order of the data's way."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from agent.clock import parse_http_date
from agent.disk import Disk, FolderInUseError
from agent.report import CLOCK_OFF_SECONDS
from agent.send import UnreachableError
from agent.spoolfolder import AsideLimits, SpoolFolder
from protocol.outcomes import Answer, our_body


class Finding(NamedTuple):
    """``good`` or not, what was looked at, and what was found or is to be done."""

    good: bool
    what: str
    message: str


class Asked(Protocol):
    """The centre, see agent.send. Both raise UnreachableError."""

    async def health(self) -> Answer: ...
    async def try_key(self) -> Answer: ...


def check_spool(path: Path, disk: Disk) -> Finding:
    """Can the folder be made, locked and written?"""
    what = f"spool folder {path}"
    folder = SpoolFolder(path, disk, AsideLimits())
    try:
        folder.open()
        disk.save(path / "check", b"")
        disk.remove(path / "check")
    except FolderInUseError:
        return Finding(True, what, "in use by a running agent")
    except OSError as error:
        return Finding(False, what, f"{error.strerror or error}; give it room, make it writable, or set SPOOL_DIR")
    finally:
        folder.close()
    return Finding(True, what, "can be written, and no agent uses it")


async def check_centre(url: str, centre: Asked, wall: Callable[[], float]) -> AsyncIterator[Finding]:
    """Can the centre be reached, does its clock agree, does it take the key? Ends at the first that fails."""
    try:
        answer = await centre.health()
        yield Finding(True, "way to the centre", f"{url} answers")
        if our_body(answer) is None or answer.status >= 400:
            yield Finding(
                False,
                "centre",
                f"{url}/health answered {answer.status}, and not as the centre does; is CENTRAL_URL right, "
                "or is there a proxy in between?",
            )
            return
        yield _clock(answer, wall())
        yield _key(await centre.try_key())
    except UnreachableError as error:
        yield Finding(False, "way to the centre", f"{error}; is CENTRAL_URL right, and does the service run?")


def _clock(answer: Answer, now: float) -> Finding:
    told = parse_http_date(answer.date)
    if told is None:
        return Finding(False, "clock", "the centre tells no time; a proxy in between must pass its Date header on")
    ahead = now - told
    if abs(ahead) > CLOCK_OFF_SECONDS:
        way = "ahead of" if ahead > 0 else "behind"
        return Finding(False, "clock", f"this host is {abs(ahead):.0f} s {way} the centre; set it right")
    return Finding(True, "clock", "agrees with the centre's")


def _key(answer: Answer) -> Finding:
    body = our_body(answer)
    if body is None:
        return Finding(
            False, "key", f"an answer {answer.status} that is not the centre's; is there a proxy in between?"
        )
    if answer.status == 401:
        return Finding(False, "key", "refused; make one with `fiesta-central keys create NAME` and set API_KEY_FILE")
    if answer.status in {200, 403, 429}:
        # 403: known, only not for questions. 429: known, and busy.
        return Finding(True, "key", "accepted")
    return Finding(False, "key", f"the centre answered {answer.status}; look at its /ready")
