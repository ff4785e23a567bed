-- A series is a name and its tags (protocol/tags.py). Its id stands in metric_id of rollups, so no metric has such a
-- one: series begin at 2^40. Texts are bytes of UTF-8, so that no collation takes two of them for one.
CREATE TABLE IF NOT EXISTS series (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    metric_id BIGINT UNSIGNED NOT NULL,
    tags_hash BINARY(16) NOT NULL,
    tags BLOB NOT NULL,
    created_at TIMESTAMP NULL,
    UNIQUE KEY unique_tags (metric_id, tags_hash)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 AUTO_INCREMENT = 1099511627776;

-- A row per tag, to find series by a tag.
CREATE TABLE IF NOT EXISTS series_tags (
    metric_id BIGINT UNSIGNED NOT NULL,
    tag_key VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    tag_value VARBINARY(800) NOT NULL,
    series_id BIGINT UNSIGNED NOT NULL,
    PRIMARY KEY (metric_id, tag_key, tag_value, series_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- How many series each metric has, overflow apart, so that caps need no count of all; metric 0 stands for all together.
CREATE TABLE IF NOT EXISTS series_counts (
    metric_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    series BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
