-- A series is a name and its tags (protocol/tags.py). Its id stands in metric_id of rollups, so no metric has such a
-- one: series begin at 2^30. series_tags has a row per tag, to find series by a tag.
CREATE TABLE series (id INTEGER NOT NULL, metric_id INTEGER NOT NULL, tags VARCHAR NOT NULL, created_at BIGINT NOT NULL);
CREATE TABLE series_tags (metric_id INTEGER NOT NULL, key VARCHAR NOT NULL, value VARCHAR NOT NULL, series_id INTEGER NOT NULL);
INSERT INTO last_ids VALUES ('series', 1073741824);
