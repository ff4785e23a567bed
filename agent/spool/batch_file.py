"""A batch as a file. Its name sorts by window, and you can read its bytes with a pager.

After the header of agent.spool.checksummed comes one JSON line about the batch, then one line per item. A dead letter
has the same name with central's error code: ``START-PART-ID.CODE.dead``. A file that was put aside, as a dead letter or
because it is damaged, has a number in front, in the order in which such files came: ``000000007_NAME``. File times
would follow a wrong clock. Files that an older version put aside have no number; they came before all others.
"""

import json
import re
from typing import Final, NamedTuple

from agent.spool.batch import Batch, Unsure
from agent.spool.checksummed import seal, unseal
from protocol.limits import MAX_BATCH_ITEMS
from protocol.statsd_types import from_letters

_KIND: Final = "batch"
_STEM: Final = r"(?P<start>[0-9]{12})-(?P<part>[0-9]{5})-(?P<id>[0-9a-f]{32}(?:\.[01])*)"
_BATCH: Final = re.compile(_STEM + r"\.batch")
_ASIDE: Final = re.compile(r"([0-9]{9})_")
_DEAD: Final = re.compile(rf"(?P<stem>{_STEM})\.(?P<code>\w+)\.dead", re.ASCII)


class Dead(NamedTuple):
    """What a dead letter's file name says."""

    batch_name: str
    code: str


def file_name(batch: Batch) -> str:
    """The file name of a batch. Names sort by window, then by place in it; a half comes after its parent."""
    return f"{batch.start:012d}-{batch.part:05d}-{batch.id}.batch"


def is_batch_name(name: str) -> bool:
    """Whether this is the name of a batch file."""
    return _BATCH.fullmatch(name) is not None


def window_of(name: str) -> str:
    """The part of a batch file's name that all batches of its window share: see agent.spool.batch.ids_of."""
    return name.split("-")[2][:24]


def parent_name(name: str) -> str | None:
    """The file name of the batch that was split into this half. None when this is not a half."""
    stem = name.removesuffix(".batch")
    return f"{stem[:-2]}.batch" if stem[-2:] in {".0", ".1"} else None


def child_names(name: str) -> tuple[str, str]:
    """The file names of a batch's two halves."""
    stem = name.removesuffix(".batch")
    return f"{stem}.0.batch", f"{stem}.1.batch"


def dead_name(name: str, code: str) -> str:
    """The dead letter of the batch file ``name``."""
    return f"{name.removesuffix('.batch')}.{code}.dead"


def aside_name(number: int, name: str) -> str:
    """The name of a file that is put aside as number ``number``."""
    return f"{number:09d}_{name}"


def parse_aside_name(name: str) -> tuple[int, str]:
    """The number of a file that was put aside, 0 without one, and its name without the number."""
    match = _ASIDE.match(name)
    return (int(match[1]), name[match.end() :]) if match else (0, name)


def parse_dead_name(name: str) -> Dead | None:
    """The parts of a dead letter's file name, with its number or without. None for a file of another kind."""
    match = _DEAD.fullmatch(parse_aside_name(name)[1])
    return Dead(f"{match['stem']}.batch", match["code"]) if match else None


def encode(batch: Batch) -> bytes:
    """The bytes of a batch's file."""
    about: dict[str, object] = {"id": batch.id, "start": batch.start, "part": batch.part, "samples": batch.samples}
    if batch.types:
        about["types"] = batch.types
    if batch.unsure is not None:
        about["unsure"] = batch.unsure
    return seal(_KIND, "\n".join((json.dumps(about), *batch.items, "")).encode())


def decode(name: str, data: bytes) -> Batch:
    """The batch in a file called ``name``. Raises ValueError unless the file is whole and fits its name."""
    about, *items = unseal(_KIND, data).decode().removesuffix("\n").split("\n")
    try:
        fields = json.loads(about)
        samples, types = tuple(fields["samples"]), fields.get("types", "")
        unsure = Unsure(*fields["unsure"]) if "unsure" in fields else None
        batch = Batch(fields["id"], fields["start"], fields["part"], samples, tuple(items), types, unsure)
        own_name = file_name(batch)
    except (KeyError, TypeError) as error:
        raise ValueError("is not a batch") from error
    if own_name != name or len(batch.samples) != len(items) or not 0 < len(items) <= MAX_BATCH_ITEMS:
        raise ValueError("is not the batch that its name says")
    if not all(type(count) is int and count >= 0 for count in batch.samples):
        raise ValueError("does not say how many samples it holds")
    if types:
        from_letters(types, len(items))
    return batch
