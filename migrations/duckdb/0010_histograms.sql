-- A point may carry the histogram of its samples (protocol/histogram.py); NULL for a plain sample, which needs none.
ALTER TABLE tail_points ADD COLUMN histogram BLOB;
ALTER TABLE metric_points ADD COLUMN histogram BLOB;

-- The histograms of all points of a name's minute or hour, merged in the background once it is over. A row holds what
-- the raw points held when it was made: those whose samples were `samples` in all. If the rollup has more by now, queries
-- read the raw points instead. Of a name and bucket there is at most one row.
CREATE TABLE histogram_minute (
    metric_id INTEGER NOT NULL,
    bucket BIGINT NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    histogram BLOB NOT NULL
);
CREATE TABLE histogram_hour (
    metric_id INTEGER NOT NULL,
    bucket BIGINT NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    histogram BLOB NOT NULL
);
