"""How the samples of names are spread over their values: a store's answer to a question for percentiles.

As columns, like the summaries in central/store/buckets.py, so that no Python object is made per bucket.
"""

from typing import NamedTuple

import numpy as np

from central.store.buckets import Buckets, Column


class Entries(NamedTuple):
    """How much weight a name has in a bucket of values (protocol.histogram) during a window, one entry per row.

    Rows are in the order of id, start and bucket. No two rows share all three, and no weight is 0. A weight is in
    units of 10^-4, so one sample weighs 10,000.
    """

    metric_ids: Column
    starts: Column
    buckets: Column
    weights: Column


class Distribution(NamedTuple):
    """Summaries over windows, and the buckets of their samples, both of one moment.

    The weights of a window's entries add up to its summary's weight exactly if every sample of it is in a bucket. A
    summary that was sent without a histogram is in no bucket, so then they add up to less.
    """

    buckets: Buckets
    entries: Entries


def no_entries() -> Entries:
    """The entries of an answer without any data."""
    return Entries(*np.empty((4, 0), dtype=np.int64))
