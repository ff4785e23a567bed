-- Retention: one row says what is hidden and what is gone, the log says who did it. Times are whole UTC seconds since
-- 1970; points before `line` are hidden from queries, those before `dropped` are gone or going. `version` counts
-- changes: a process writes only over the version that it has read.
CREATE TABLE IF NOT EXISTS retention (
    id TINYINT UNSIGNED NOT NULL PRIMARY KEY,
    version BIGINT NOT NULL,
    line BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    held_until BIGINT NOT NULL,
    last_run BIGINT NOT NULL,
    lease_owner VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,
    lease_until BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;

INSERT INTO retention VALUES (1, 0, 0, 0, 0, 0, '', 0) ON DUPLICATE KEY UPDATE id = id;

-- removed_rows (the server's estimate) and removed_parts belong to the action 'drop'; 0 for the others.
CREATE TABLE IF NOT EXISTS retention_log (
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
    done_at BIGINT NOT NULL,
    action ENUM('hide', 'restore', 'drop') NOT NULL,
    line BIGINT NOT NULL,
    actor VARCHAR(64) NOT NULL,
    removed_rows BIGINT NOT NULL,
    removed_parts BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
