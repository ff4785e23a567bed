-- The store of the production tier, for MySQL 8 and MariaDB 10.11. Every statement can be run again: DDL commits by
-- itself, so a crash in the middle of this file leaves a part of it done.
-- Times: TIMESTAMP columns are read and written in sessions whose time zone is UTC; a rollup's bucket is a DATETIME in UTC
-- whatever the session says. Partition pYYYYMMDD holds that UTC day; a first one is needed for the table to exist,
-- and central makes the others (seven days ahead, no MAXVALUE).

CREATE TABLE IF NOT EXISTS metrics (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    type ENUM('counter', 'value') NOT NULL,
    created_by BIGINT UNSIGNED NOT NULL,
    created_at TIMESTAMP NULL,
    updated_at TIMESTAMP NULL,
    UNIQUE KEY unique_name (name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- How many names each key made, so that caps need no count of all names.
CREATE TABLE IF NOT EXISTS name_counts (
    created_by BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    names BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- One row. A deletion of a name adds one, and every group checks it under a shared lock: a process whose cache of
-- names is older stores nothing.
CREATE TABLE IF NOT EXISTS name_changes (
    id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    version BIGINT UNSIGNED NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

INSERT INTO name_changes VALUES (1, 1) ON DUPLICATE KEY UPDATE id = id;

-- Names that are gone and whose points are being removed, so that a crash in between is made good.
CREATE TABLE IF NOT EXISTS deleted_metrics (
    id BIGINT UNSIGNED NOT NULL PRIMARY KEY,
    name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    deleted_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- samples, min_value and max_value are NULL for a plain sample: 1, value and value. value is the sum of a summary.
-- id is unique within its metric and second: random bits of the group that brought it, and the row's number there.
CREATE TABLE IF NOT EXISTS metric_points (
    metric_id BIGINT UNSIGNED NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    id BIGINT UNSIGNED NOT NULL,
    value DECIMAL(20, 4) NOT NULL,
    samples DECIMAL(20, 4) NULL,
    min_value DECIMAL(20, 4) NULL,
    max_value DECIMAL(20, 4) NULL,
    created_at TIMESTAMP NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (metric_id, recorded_at, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
PARTITION BY RANGE (UNIX_TIMESTAMP(recorded_at)) (PARTITION p19700101 VALUES LESS THAN (86400));

CREATE TABLE IF NOT EXISTS rollup_minute (
    metric_id BIGINT UNSIGNED NOT NULL,
    bucket DATETIME NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    total DECIMAL(38, 4) NOT NULL,
    min_value DECIMAL(20, 4) NOT NULL,
    max_value DECIMAL(20, 4) NOT NULL,
    PRIMARY KEY (metric_id, bucket)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
PARTITION BY RANGE COLUMNS (bucket) (PARTITION p19700101 VALUES LESS THAN ('1970-01-02'));

CREATE TABLE IF NOT EXISTS rollup_hour (
    metric_id BIGINT UNSIGNED NOT NULL,
    bucket DATETIME NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    total DECIMAL(38, 4) NOT NULL,
    min_value DECIMAL(20, 4) NOT NULL,
    max_value DECIMAL(20, 4) NOT NULL,
    PRIMARY KEY (metric_id, bucket)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
PARTITION BY RANGE COLUMNS (bucket) (PARTITION p19700101 VALUES LESS THAN ('1970-01-02'));

-- Ids of groups and of requests with an Idempotency-Key: hashes, unique in their day. answer is NULL for the plain one.
CREATE TABLE IF NOT EXISTS request_ids (
    id BINARY(16) NOT NULL,
    day DATE NOT NULL,
    fingerprint BINARY(16) NOT NULL,
    answer LONGBLOB NULL,
    PRIMARY KEY (id, day)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4
PARTITION BY RANGE COLUMNS (day) (PARTITION p19700101 VALUES LESS THAN ('1970-01-02'));

-- What was acknowledged while the database was down and then could not be: its name has another type, or is over a cap.
CREATE TABLE IF NOT EXISTS rejected_points (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    name VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    type ENUM('counter', 'value') NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    value DECIMAL(20, 4) NOT NULL,
    samples DECIMAL(20, 4) NULL,
    min_value DECIMAL(20, 4) NULL,
    max_value DECIMAL(20, 4) NULL,
    reason VARCHAR(64) NOT NULL,
    rejected_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- `key` holds the bcrypt hash of the secret, and never the key.
CREATE TABLE IF NOT EXISTS api_keys (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    public_id VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    name VARCHAR(255) NOT NULL,
    `key` VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    scopes VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    rate_limit INT UNSIGNED NOT NULL DEFAULT 1000,
    created_at TIMESTAMP NULL,
    updated_at TIMESTAMP NULL,
    revoked_at TIMESTAMP NULL,
    UNIQUE KEY unique_public_id (public_id),
    UNIQUE KEY unique_key (`key`)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

-- For BI tools: see docs/bi.md.
CREATE OR REPLACE VIEW metrics_by_hour AS
SELECT
    metrics.name AS `name`, metrics.type AS `type`, rollup_hour.bucket AS `hour`, rollup_hour.samples AS `count`,
    rollup_hour.total AS `sum`, rollup_hour.min_value AS `min`, rollup_hour.max_value AS `max`
FROM metrics INNER JOIN rollup_hour ON rollup_hour.metric_id = metrics.id;

CREATE OR REPLACE VIEW metrics_by_minute AS
SELECT
    metrics.name AS `name`, metrics.type AS `type`, rollup_minute.bucket AS `minute`, rollup_minute.samples AS `count`,
    rollup_minute.total AS `sum`, rollup_minute.min_value AS `min`, rollup_minute.max_value AS `max`
FROM metrics INNER JOIN rollup_minute ON rollup_minute.metric_id = metrics.id;
