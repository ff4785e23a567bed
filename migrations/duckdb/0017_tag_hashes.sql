-- A number per tag, the low 32 bits of a hash of 'key:value': a search for one value reads this column and no texts.
CREATE TABLE hashed_tags (
    metric_id INTEGER NOT NULL, key VARCHAR NOT NULL, value VARCHAR NOT NULL, series_id INTEGER NOT NULL, hash UINTEGER NOT NULL
);
INSERT INTO hashed_tags
SELECT metric_id, key, value, series_id, (md5_number_lower(key || ':' || value) & 4294967295)::UINTEGER FROM series_tags;
DROP TABLE series_tags;
ALTER TABLE hashed_tags RENAME TO series_tags;
