-- The prefixes of the names that a key may use, with commas between. Keys without a row may use all names. A table of
-- its own, since MySQL 8 cannot add a column a second time.
CREATE TABLE IF NOT EXISTS key_prefixes (
    key_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    prefixes TEXT CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
