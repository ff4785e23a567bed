-- The views that MySQL has, for whoever opens a backup with DuckDB: what is in the tail is not in the rollups yet.
CREATE VIEW metrics_by_hour AS
SELECT metrics.name, metrics.type, epoch_ms(bucket * 1000) AS hour, sum(samples)::DECIMAL(38, 4) AS count,
    sum(total)::DECIMAL(38, 4) AS sum, min(min_value) AS min, max(max_value) AS max
FROM metrics INNER JOIN (
    SELECT metric_id, bucket, samples, total, min_value, max_value FROM rollup_hour
    UNION ALL
    SELECT metric_id, recorded_at - recorded_at % 3600, coalesce(samples, 1), value, coalesce(min_value, value),
        coalesce(max_value, value)
    FROM tail_points
) AS parts ON parts.metric_id = metrics.id
GROUP BY metrics.name, metrics.type, bucket;

CREATE VIEW metrics_by_minute AS
SELECT metrics.name, metrics.type, epoch_ms(bucket * 1000) AS minute, sum(samples)::DECIMAL(38, 4) AS count,
    sum(total)::DECIMAL(38, 4) AS sum, min(min_value) AS min, max(max_value) AS max
FROM metrics INNER JOIN (
    SELECT metric_id, bucket, samples, total, min_value, max_value FROM rollup_minute
    UNION ALL
    SELECT metric_id, bucket, samples, total, min_value, max_value FROM rollup_minute_wide
    UNION ALL
    SELECT metric_id, recorded_at - recorded_at % 60, coalesce(samples, 1), value, coalesce(min_value, value),
        coalesce(max_value, value)
    FROM tail_points
) AS parts ON parts.metric_id = metrics.id
GROUP BY metrics.name, metrics.type, bucket;
