-- Rollups that are read and removed fast (docs/decisions: rollups by minute without a key).
-- rollup_minute may hold several rows for a name and minute, one for each fold; queries add them up. Each fold's rows
-- are sorted by name. Numbers of up to 14 digits before the point are 64 bits wide and are read many times faster;
-- rows with a larger one are in rollup_minute_wide, where nearly always there is nothing.
ALTER TABLE rollup_minute RENAME TO old_minute;
CREATE TABLE rollup_minute (
    metric_id INTEGER NOT NULL,
    bucket BIGINT NOT NULL,
    samples DECIMAL(18, 4) NOT NULL,
    total DECIMAL(18, 4) NOT NULL,
    min_value DECIMAL(18, 4) NOT NULL,
    max_value DECIMAL(18, 4) NOT NULL
);
CREATE TABLE rollup_minute_wide (
    metric_id INTEGER NOT NULL,
    bucket BIGINT NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    total DECIMAL(38, 4) NOT NULL,
    min_value DECIMAL(20, 4) NOT NULL,
    max_value DECIMAL(20, 4) NOT NULL
);
INSERT INTO rollup_minute SELECT * FROM old_minute
WHERE samples < 100000000000000 AND total > -100000000000000 AND total < 100000000000000
    AND min_value > -100000000000000 AND max_value < 100000000000000
ORDER BY bucket // 3600, metric_id, bucket;
INSERT INTO rollup_minute_wide SELECT * FROM old_minute
WHERE NOT (samples < 100000000000000 AND total > -100000000000000 AND total < 100000000000000
    AND min_value > -100000000000000 AND max_value < 100000000000000);
DROP TABLE old_minute;

-- 128 bits packed by the bit take a block's decoding for each number that is read; plain, next to nothing.
ALTER TABLE rollup_hour RENAME TO old_hour;
CREATE TABLE rollup_hour (
    metric_id INTEGER NOT NULL,
    bucket BIGINT NOT NULL,
    samples DECIMAL(38, 4) NOT NULL USING COMPRESSION uncompressed,
    total DECIMAL(38, 4) NOT NULL USING COMPRESSION uncompressed,
    min_value DECIMAL(20, 4) NOT NULL USING COMPRESSION uncompressed,
    max_value DECIMAL(20, 4) NOT NULL USING COMPRESSION uncompressed,
    PRIMARY KEY (metric_id, bucket)
);
INSERT INTO rollup_hour SELECT * FROM old_hour ORDER BY bucket // 86400, metric_id, bucket;
DROP TABLE old_hour;

ALTER TABLE tail_points RENAME TO old_tail;
CREATE TABLE tail_points (
    metric_id INTEGER NOT NULL,
    recorded_at BIGINT NOT NULL,
    value DECIMAL(20, 4) NOT NULL USING COMPRESSION uncompressed,
    samples DECIMAL(20, 4) USING COMPRESSION uncompressed,
    min_value DECIMAL(20, 4) USING COMPRESSION uncompressed,
    max_value DECIMAL(20, 4) USING COMPRESSION uncompressed
);
INSERT INTO tail_points SELECT * FROM old_tail;
DROP TABLE old_tail;
