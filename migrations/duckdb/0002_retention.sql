-- Retention: one row says what is hidden and what is gone, the log says who did it. Times are whole UTC seconds;
-- points before `line` are hidden from queries, those before `dropped` are gone or going. `version` counts changes.
CREATE TABLE retention (
    version BIGINT NOT NULL,
    line BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    held_until BIGINT NOT NULL,
    last_run BIGINT NOT NULL,
    lease_owner VARCHAR NOT NULL,
    lease_until BIGINT NOT NULL
);
INSERT INTO retention VALUES (0, 0, 0, 0, 0, '', 0);

-- removed_rows and removed_parts belong to the action 'drop'; 0 for the others.
CREATE TABLE retention_log (
    id BIGINT NOT NULL,
    done_at BIGINT NOT NULL,
    action VARCHAR NOT NULL CHECK (action IN ('hide', 'restore', 'drop')),
    line BIGINT NOT NULL,
    actor VARCHAR NOT NULL,
    removed_rows BIGINT NOT NULL,
    removed_parts BIGINT NOT NULL
);
