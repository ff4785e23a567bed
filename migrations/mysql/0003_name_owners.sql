-- Which of StatsD's types owns a name, and for samples of which other name it was made where that belongs to another
-- type. Names without a row have no owner yet. A table of its own, since MySQL 8 cannot add a column a second time.
CREATE TABLE IF NOT EXISTS name_owners (
    metric_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    owner ENUM('counter', 'timing', 'gauge', 'set') NOT NULL,
    clash_of VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
