-- Percentiles of an hour for SQL, made with its merged histogram. They are NULL where some sample is in no histogram.
-- MySQL 8 cannot add a column a second time, so the statement depends on whether the columns are there.
SET @add_percentiles = IF(
    EXISTS (
        SELECT 1 FROM information_schema.COLUMNS
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'histogram_hour' AND COLUMN_NAME = 'p50'
    ),
    'DO 0',
    'ALTER TABLE histogram_hour ADD COLUMN p50 DECIMAL(20, 4) NULL, ADD COLUMN p75 DECIMAL(20, 4) NULL, ADD COLUMN p90 DECIMAL(20, 4) NULL, ADD COLUMN p95 DECIMAL(20, 4) NULL, ADD COLUMN p99 DECIMAL(20, 4) NULL'
);
PREPARE add_percentiles FROM @add_percentiles;
EXECUTE add_percentiles;
DEALLOCATE PREPARE add_percentiles;

-- An hour has percentiles here only while they are those of all its samples.
CREATE OR REPLACE VIEW percentiles_by_hour AS
SELECT
    metrics.name AS `name`, rollup_hour.bucket AS `hour`, rollup_hour.samples AS `count`,
    histogram_hour.p50 AS `p50`, histogram_hour.p75 AS `p75`, histogram_hour.p90 AS `p90`,
    histogram_hour.p95 AS `p95`, histogram_hour.p99 AS `p99`
FROM metrics
INNER JOIN rollup_hour ON rollup_hour.metric_id = metrics.id
LEFT JOIN histogram_hour
    ON histogram_hour.metric_id = rollup_hour.metric_id AND histogram_hour.bucket = rollup_hour.bucket
    AND histogram_hour.samples = rollup_hour.samples
WHERE metrics.type = 'value';

CREATE OR REPLACE VIEW series_percentiles_by_hour AS
SELECT
    metrics.name AS `name`, CONVERT(series.tags USING utf8mb4) AS `tags`, rollup_hour.bucket AS `hour`, rollup_hour.samples AS `count`,
    histogram_hour.p50 AS `p50`, histogram_hour.p75 AS `p75`, histogram_hour.p90 AS `p90`,
    histogram_hour.p95 AS `p95`, histogram_hour.p99 AS `p99`
FROM metrics
INNER JOIN series ON series.metric_id = metrics.id
INNER JOIN rollup_hour ON rollup_hour.metric_id = series.id
LEFT JOIN histogram_hour
    ON histogram_hour.metric_id = rollup_hour.metric_id AND histogram_hour.bucket = rollup_hour.bucket
    AND histogram_hour.samples = rollup_hour.samples
WHERE metrics.type = 'value';
