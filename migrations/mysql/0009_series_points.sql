-- The series of a point with tags; NULL without tags. Its sums stand in the rollups twice: under its name and its series.
-- MySQL 8 cannot add a column a second time, so the statement depends on whether the column is there.
SET @add_series = IF(
    EXISTS (
        SELECT 1 FROM information_schema.COLUMNS
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'metric_points' AND COLUMN_NAME = 'series_id'
    ),
    'DO 0',
    'ALTER TABLE metric_points ADD COLUMN series_id BIGINT UNSIGNED NULL'
);
PREPARE add_series FROM @add_series;
EXECUTE add_series;
DEALLOCATE PREPARE add_series;
