"""The embedded store's SQL, and the arrays that carry a group's rows into it.

Numbers cross as whole units. A product with the exact decimal 0.0001 makes them DECIMAL(20,4)
again; a division would go through binary floats.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from central.plan import Segment
from central.store.base import RequestId, Row
from central.store.seen import Words

_DEC: Final = "({} * 0.0001::DECIMAL(5,4))::DECIMAL(20,4)"
_SPLIT: Final = 10**10

CREATE_STAGED: Final = """
CREATE TEMP TABLE staged (
    metric_id INTEGER, recorded_at BIGINT, value DECIMAL(20,4),
    samples DECIMAL(20,4), min_value DECIMAL(20,4), max_value DECIMAL(20,4)
);
"""
PREPARE: Final = "PREPARE put_points AS INSERT INTO metric_points SELECT * FROM staged;" + "".join(
    f"""
PREPARE put_{name} AS
INSERT INTO rollup_{name}
SELECT metric_id, recorded_at // {seconds} * {seconds}, sum(coalesce(samples, 1)), sum(value),
       min(coalesce(min_value, value)), max(coalesce(max_value, value))
FROM staged GROUP BY 1, 2
ON CONFLICT DO UPDATE SET
    samples = samples + excluded.samples, total = total + excluded.total,
    min_value = least(min_value, excluded.min_value), max_value = greatest(max_value, excluded.max_value);
"""
    for name, seconds in (("minute", 60), ("hour", 3600))
)

STAGE_PLAIN: Final = (
    "INSERT INTO staged SELECT m, t, " + _DEC.format("v::DECIMAL(19,0)") + ", NULL, NULL, NULL FROM incoming"
)
_WIDE: Final = f"({{0}}h::DECIMAL(20,0) * {_SPLIT}::DECIMAL(11,0) + {{0}}l::DECIMAL(20,0))::DECIMAL(24,0)"
STAGE_FULL: Final = (
    "INSERT INTO staged SELECT m, t, "
    + _DEC.format(_WIDE.format("v"))
    + "".join(f", CASE WHEN f THEN {_DEC.format(_WIDE.format(column))} END" for column in "wab")
    + " FROM incoming"
)

ID_TABLE: Final = "request_ids_"
CREATE_IDS: Final = (
    "CREATE TABLE IF NOT EXISTS {table} (high UBIGINT NOT NULL, low UBIGINT NOT NULL,"
    " body_high UBIGINT NOT NULL, body_low UBIGINT NOT NULL, answer BLOB)"
)
PUT_IDS: Final = "INSERT INTO {table} SELECT * FROM incoming"


def point_columns(rows: Sequence[Row]) -> tuple[str, dict[str, Any]]:
    """The statement that stages these rows, and its ``incoming`` columns.

    Most groups hold plain samples that fit 64 bits: three columns. Any other takes each number as
    two halves of ten digits.
    """
    metric_ids, times, values, weights, lows, highs = zip(*rows, strict=True)
    columns: dict[str, Any] = {"m": np.array(metric_ids, dtype=np.int32), "t": np.array(times, dtype=np.int64)}
    if not any(weights) and max(values) < 2**62 and min(values) > -(2**62):
        columns["v"] = np.array(values, dtype=np.int64)
        return STAGE_PLAIN, columns
    columns["f"] = np.array([weight is not None for weight in weights], dtype=np.bool_)
    for name, numbers in (("v", values), ("w", weights), ("a", lows), ("b", highs)):
        halves = [divmod(number or 0, _SPLIT) for number in numbers]
        columns[name + "h"] = np.array([high for high, _ in halves], dtype=np.int64)
        columns[name + "l"] = np.array([low for _, low in halves], dtype=np.int64)
    return STAGE_FULL, columns


def id_columns(ids: Sequence[RequestId]) -> dict[str, Any]:
    """The ``incoming`` columns: ids and fingerprints as halves, answers where they are not plain."""
    keys = halves([entry.id for entry in ids])
    bodies = halves([entry.fingerprint for entry in ids])
    return {
        "high": keys[0],
        "low": keys[1],
        "body_high": bodies[0],
        "body_low": bodies[1],
        "answer": np.array([entry.answer for entry in ids], dtype=object),
    }


def halves(keys: Sequence[bytes]) -> tuple[Words, Words]:
    """16-byte keys as two arrays of unsigned 64-bit integers."""
    pairs = np.frombuffer(b"".join(keys), dtype=">u8").reshape(-1, 2)
    return pairs[:, 0].astype(np.uint64), pairs[:, 1].astype(np.uint64)


def find_ids(tables: Sequence[str], keys: Sequence[bytes]) -> str:
    """SELECT of what these tables know of these ids."""
    listed = ", ".join(str(int.from_bytes(key[:8], "big")) for key in keys)
    return " UNION ALL ".join(f"SELECT * FROM {table} WHERE high IN ({listed})" for table in tables)


def aggregate(metric_ids: Sequence[int], window: int, segments: Sequence[Segment]) -> str:
    """SELECT of exact summaries by name and window over all segments, in one statement and so one snapshot."""
    listed = ", ".join(map(str, metric_ids))
    parts = " UNION ALL ".join(_segment(segment, listed) for segment in segments)
    return (
        f"SELECT metric_id, t // {window} * {window} AS start, sum(samples), sum(total), min(low), max(high)"
        f" FROM ({parts}) GROUP BY metric_id, start ORDER BY metric_id, start"
    )


def _segment(segment: Segment, listed: str) -> str:
    if segment.level == "raw":
        return (
            "SELECT metric_id, recorded_at AS t, coalesce(samples, 1)::DECIMAL(38,4) AS samples,"
            " value::DECIMAL(38,4) AS total, coalesce(min_value, value) AS low, coalesce(max_value, value) AS high"
            f" FROM metric_points WHERE metric_id IN ({listed})"
            f" AND recorded_at >= {segment.start} AND recorded_at < {segment.end}"
        )
    return (
        "SELECT metric_id, bucket AS t, samples, total, min_value AS low, max_value AS high"
        f" FROM rollup_{segment.level} WHERE metric_id IN ({listed})"
        f" AND bucket >= {segment.start} AND bucket < {segment.end}"
    )
