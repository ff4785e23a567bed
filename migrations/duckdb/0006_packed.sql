-- Minutes of days gone by, moved here from rollup_minute: sorted by name within a day, so that a name's day is read from
-- one or two blocks and not from all of the day's.
CREATE TABLE rollup_minute_packed (
    metric_id INTEGER NOT NULL,
    bucket BIGINT NOT NULL,
    samples DECIMAL(18, 4) NOT NULL,
    total DECIMAL(18, 4) NOT NULL,
    min_value DECIMAL(18, 4) NOT NULL,
    max_value DECIMAL(18, 4) NOT NULL
);

CREATE OR REPLACE VIEW metrics_by_minute AS
SELECT metrics.name, metrics.type, epoch_ms(bucket * 1000) AS minute, sum(samples)::DECIMAL(38, 4) AS count,
    sum(total)::DECIMAL(38, 4) AS sum, min(min_value) AS min, max(max_value) AS max
FROM metrics INNER JOIN (
    SELECT metric_id, bucket, samples, total, min_value, max_value FROM rollup_minute
    UNION ALL
    SELECT metric_id, bucket, samples, total, min_value, max_value FROM rollup_minute_packed
    UNION ALL
    SELECT metric_id, bucket, samples, total, min_value, max_value FROM rollup_minute_wide
    UNION ALL
    SELECT metric_id, recorded_at - recorded_at % 60, coalesce(samples, 1), value, coalesce(min_value, value),
        coalesce(max_value, value)
    FROM tail_points
) AS parts ON parts.metric_id = metrics.id
GROUP BY metrics.name, metrics.type, bucket;
