-- The views of names, by series: see docs/bi.md.
CREATE OR REPLACE VIEW series_by_hour AS
SELECT
    metrics.name AS `name`, metrics.type AS `type`, CONVERT(series.tags USING utf8mb4) AS `tags`,
    rollup_hour.bucket AS `hour`, rollup_hour.samples AS `count`, rollup_hour.total AS `sum`,
    rollup_hour.min_value AS `min`, rollup_hour.max_value AS `max`
FROM metrics
INNER JOIN series ON series.metric_id = metrics.id
INNER JOIN rollup_hour ON rollup_hour.metric_id = series.id;

CREATE OR REPLACE VIEW series_by_minute AS
SELECT
    metrics.name AS `name`, metrics.type AS `type`, CONVERT(series.tags USING utf8mb4) AS `tags`,
    rollup_minute.bucket AS `minute`, rollup_minute.samples AS `count`, rollup_minute.total AS `sum`,
    rollup_minute.min_value AS `min`, rollup_minute.max_value AS `max`
FROM metrics
INNER JOIN series ON series.metric_id = metrics.id
INNER JOIN rollup_minute ON rollup_minute.metric_id = series.id;
