-- The histograms of a name's minutes, an hour of them in one row (central/store/mysql/packed.py), merged in the background
-- once it is over. A row holds what the raw points of that hour held when their samples were `samples` in all. If the
-- rollup of the hour has more by now, queries read the raw points instead. What histogram_minute has of the time before
-- stays in use.
CREATE TABLE IF NOT EXISTS histogram_minute_packed (
    metric_id BIGINT UNSIGNED NOT NULL,
    bucket DATETIME NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    histograms MEDIUMBLOB NOT NULL,
    PRIMARY KEY (metric_id, bucket)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
PARTITION BY RANGE COLUMNS (bucket) (PARTITION p19700101 VALUES LESS THAN ('1970-01-02'));
