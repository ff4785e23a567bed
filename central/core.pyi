"""The compiled core (native/central/): reads batches, and makes and writes groups, if they are in everyday form."""

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T", bound=tuple[object, ...])
I = TypeVar("I", bound=tuple[object, ...])

def items(body: bytes, type_: type[T], oldest: float, newest: float, now: int, most: int) -> list[T] | None:
    """The items of a batch's body as tuples of ``type_``, with the same content as from protocol.item.parse_item.

    None if the body is not in everyday form, if an item breaks a rule or has a time before ``oldest`` or after
    ``newest``, or if there are no items or more than ``most``. Other threads run meanwhile if the body is long.
    """

def single(body: bytes, type_: type[T], kind: str, oldest: float, newest: float, now: int, /) -> T | None:
    """The item of one metric's body as a tuple of ``type_``, with the same content as from protocol.item.parse_single.

    None if the body is not in everyday form, or if it breaks a rule.
    """

def spans(body: bytes, most: int) -> list[tuple[int, int]] | int | str:
    """See central.ingest.spans.find_spans. Other threads run meanwhile."""

def lines(rows: list[T], base: int) -> tuple[bool, bool, bool, str, str, str] | None:
    """The fields of central.store.mysql.rows.RowLines for these rows. The first point gets the id ``base``.

    None if a number has more than 64 bits or a time is out of range. Other threads run meanwhile.
    """

def columns(rows: list[T], /) -> bytes | None:
    """The numbers of rows of central.store.base.Row as eight columns of 64-bit integers, in the machine's byte order.

    The columns are those of a Row without its histogram, with 0 for None, and last 1 for a summary and else 0. The
    answer is None if a number has more than 64 bits.
    """

def unpack_minutes(hours: list[bytes], /) -> tuple[bytes, bytes, list[bytes]]:
    """What central.store.mysql.packed.unpack makes of these, with its columns as 64-bit integers.

    Raises ValueError for bytes that are not packed.
    """

def rows(
    items: list[I],
    type_: type[T],
    metrics: Mapping[str, tuple[object, ...]],
    ids: Mapping[tuple[int, str], int],
    overflows: Mapping[int, int],
    /,
) -> list[T]:
    """A row (central.store.base.Row) of ``type_`` for each protocol.item.Item, under its own name.

    ``metrics`` has what begins with the id of a metric, by name. The other two are those of
    central.ingest.series.KnownSeries. All are dicts. Raises KeyError for a name or a series that is in none of them.
    """

def missing_series(
    items: list[I], metrics: Mapping[str, tuple[object, ...]], ids: Mapping[tuple[int, str], int], /
) -> list[tuple[int, str]]:
    """The ids of the metrics and the tags of those items whose series are not among ``ids``. Otherwise as ``rows``."""

def span_of_histogram(encoded: bytes, /) -> tuple[int, int, int]:
    """The weight of an encoded histogram (protocol.histogram) in units, its first and its last bucket.

    Raises ValueError for bytes that protocol.histogram.decode refuses.
    """

def merge_histograms(histograms: list[bytes], /) -> bytes:
    """See protocol.histogram.merge."""

def decode_histograms(histograms: list[bytes], /) -> tuple[bytes, bytes, bytes]:
    """All entries of many histograms, as three arrays of 64-bit integers: place in the list, bucket, weight in units.

    Raises ValueError for bytes that are no histogram, OverflowError where a histogram weighs more than 63 bits hold.
    """

def rank_histograms(histograms: list[bytes], counts: bytes, percent: int, /) -> tuple[bytes, bytes]:
    """The weight of each window in units, and the bucket that holds its sample of a rank, as 64-bit integers.

    ``counts`` are 64-bit integers: how many histograms each window has, at least one, those of the first window first.
    ``percent`` is in thousandths, above 0 and below 100,000. The rank is that of central.query.percentiles.

    Raises ValueError for bytes that are no histogram, OverflowError where a window weighs more than 63 bits hold.
    """
