"""The compiled core (native/central/): reads batches and writes groups of everyday forms."""

from typing import TypeVar

T = TypeVar("T", bound=tuple[object, ...])

def items(body: bytes, type_: type[T], oldest: float, newest: float, now: int, most: int) -> list[T] | None:
    """What protocol.item.parse_item gives for every item of a batch's body, as tuples of ``type_``.

    None for a body that is not in everyday form, has an item that breaks a rule or a time outside of ``oldest`` and
    ``newest``, more than ``most`` items or none. Other threads run meanwhile where the body is long.
    """

def spans(body: bytes, most: int) -> list[tuple[int, int]] | int | str:
    """What central.ingest.spans.find_spans gives. Other threads run meanwhile."""

def lines(rows: list[T], base: int) -> tuple[bool, str, str, str] | None:
    """What central.store.mysql.rows.lines gives for rows whose first point has the id ``base``.

    None where a number has more than 64 bits or a time is out of range. Other threads run meanwhile.
    """
