-- The series of a point with tags; NULL without tags. Its sums stand in the rollups twice: under its name and its series.
ALTER TABLE tail_points ADD COLUMN series_id INTEGER;
ALTER TABLE metric_points ADD COLUMN series_id INTEGER;
