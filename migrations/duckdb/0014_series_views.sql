-- The views of names, by series: for whoever opens a backup with DuckDB.
CREATE VIEW series_by_hour AS
SELECT metrics.name, metrics.type, series.tags, epoch_ms(bucket * 1000) AS hour, sum(samples)::DECIMAL(38, 4) AS count,
    sum(total)::DECIMAL(38, 4) AS sum, min(min_value) AS min, max(max_value) AS max
FROM series INNER JOIN metrics ON metrics.id = series.metric_id INNER JOIN (
    SELECT metric_id AS series_id, bucket, samples, total, min_value, max_value FROM rollup_hour
    UNION ALL
    SELECT series_id, recorded_at - recorded_at % 3600, coalesce(samples, 1), value, coalesce(min_value, value),
        coalesce(max_value, value)
    FROM tail_points
) AS parts ON parts.series_id = series.id
GROUP BY metrics.name, metrics.type, series.tags, bucket;

CREATE VIEW series_by_minute AS
SELECT metrics.name, metrics.type, series.tags, epoch_ms(bucket * 1000) AS minute,
    sum(samples)::DECIMAL(38, 4) AS count, sum(total)::DECIMAL(38, 4) AS sum, min(min_value) AS min,
    max(max_value) AS max
FROM series INNER JOIN metrics ON metrics.id = series.metric_id INNER JOIN (
    SELECT metric_id AS series_id, bucket, samples, total, min_value, max_value FROM rollup_minute
    UNION ALL
    SELECT metric_id, bucket, samples, total, min_value, max_value FROM rollup_minute_wide
    UNION ALL
    SELECT series_id, recorded_at - recorded_at % 60, coalesce(samples, 1), value, coalesce(min_value, value),
        coalesce(max_value, value)
    FROM tail_points
) AS parts ON parts.series_id = series.id
GROUP BY metrics.name, metrics.type, series.tags, bucket;
