-- What is known of a key beside its row: when it ends, and when it was last used, in UTC seconds. Keys without a row
-- never end, and were not used since this table is here. A table of its own, since MySQL 8 cannot add a column a second time.
CREATE TABLE IF NOT EXISTS key_facts (
    key_id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    expires_at BIGINT NULL,
    last_used_at BIGINT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
