-- A point may carry the histogram of its samples (protocol/histogram.py); NULL for a plain sample, which needs none.
-- MySQL 8 cannot add a column a second time, so the statement depends on whether the column is there.
SET @add_histogram = IF(
    EXISTS (
        SELECT 1 FROM information_schema.COLUMNS
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'metric_points' AND COLUMN_NAME = 'histogram'
    ),
    'DO 0',
    'ALTER TABLE metric_points ADD COLUMN histogram MEDIUMBLOB NULL'
);
PREPARE add_histogram FROM @add_histogram;
EXECUTE add_histogram;
DEALLOCATE PREPARE add_histogram;

-- The histograms of all points of a name's minute or hour, merged in the background once it is over. A row holds what
-- the raw points held when it was made: those whose samples were `samples` in all. If the rollup has more by now, queries
-- read the raw points instead.
CREATE TABLE IF NOT EXISTS histogram_minute (
    metric_id BIGINT UNSIGNED NOT NULL,
    bucket DATETIME NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    histogram MEDIUMBLOB NOT NULL,
    PRIMARY KEY (metric_id, bucket)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
PARTITION BY RANGE COLUMNS (bucket) (PARTITION p19700101 VALUES LESS THAN ('1970-01-02'));

CREATE TABLE IF NOT EXISTS histogram_hour (
    metric_id BIGINT UNSIGNED NOT NULL,
    bucket DATETIME NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    histogram MEDIUMBLOB NOT NULL,
    PRIMARY KEY (metric_id, bucket)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
PARTITION BY RANGE COLUMNS (bucket) (PARTITION p19700101 VALUES LESS THAN ('1970-01-02'));
