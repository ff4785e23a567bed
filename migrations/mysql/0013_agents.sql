-- The latest books of each agent, as it sent them beside a batch. They are written once per minute.
CREATE TABLE IF NOT EXISTS agents (
    id CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    run CHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    key_id BIGINT UNSIGNED NOT NULL,
    seen_at BIGINT NOT NULL,
    missing BIGINT NOT NULL,
    books TEXT NOT NULL,
    INDEX by_time (seen_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
