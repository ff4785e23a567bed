-- Percentiles of an hour for SQL, made with its merged histogram. They are NULL where some sample is in no histogram.
ALTER TABLE histogram_hour ADD COLUMN p50 DECIMAL(20, 4);
ALTER TABLE histogram_hour ADD COLUMN p75 DECIMAL(20, 4);
ALTER TABLE histogram_hour ADD COLUMN p90 DECIMAL(20, 4);
ALTER TABLE histogram_hour ADD COLUMN p95 DECIMAL(20, 4);
ALTER TABLE histogram_hour ADD COLUMN p99 DECIMAL(20, 4);

-- An hour has percentiles here only while they are those of all its samples.
CREATE VIEW hours_of_ids AS
SELECT parts.metric_id AS id, epoch_ms(parts.bucket * 1000) AS hour, parts.samples AS count, p50, p75, p90, p95, p99
FROM (
    SELECT metric_id, bucket, sum(samples)::DECIMAL(38, 4) AS samples FROM (
        SELECT metric_id, bucket, samples FROM rollup_hour
        UNION ALL
        SELECT metric_id, recorded_at - recorded_at % 3600, coalesce(samples, 1) FROM tail_points
        UNION ALL
        SELECT series_id, recorded_at - recorded_at % 3600, coalesce(samples, 1) FROM tail_points
        WHERE series_id IS NOT NULL
    ) AS all_parts
    GROUP BY metric_id, bucket
) AS parts LEFT JOIN histogram_hour
    ON histogram_hour.metric_id = parts.metric_id AND histogram_hour.bucket = parts.bucket
    AND histogram_hour.samples = parts.samples;

CREATE VIEW percentiles_by_hour AS
SELECT metrics.name, hour, count, p50, p75, p90, p95, p99
FROM metrics INNER JOIN hours_of_ids ON hours_of_ids.id = metrics.id
WHERE metrics.type = 'value';

CREATE VIEW series_percentiles_by_hour AS
SELECT metrics.name, series.tags, hour, count, p50, p75, p90, p95, p99
FROM metrics INNER JOIN series ON series.metric_id = metrics.id INNER JOIN hours_of_ids ON hours_of_ids.id = series.id
WHERE metrics.type = 'value';
