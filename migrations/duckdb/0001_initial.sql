-- The embedded store. Times are whole UTC seconds; numbers are exact DECIMALs.
-- metric_points.samples, min_value and max_value are NULL for a plain sample (1, value, value),
-- which the columnar format stores in next to nothing.

-- Ids already given, by table: an id is never used twice, not even after its row has gone.
CREATE TABLE last_ids (of_table VARCHAR NOT NULL, id BIGINT NOT NULL);
INSERT INTO last_ids VALUES ('metrics', 0), ('api_keys', 0);

CREATE TABLE metrics (
    id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    type VARCHAR NOT NULL CHECK (type IN ('counter', 'value')),
    created_by BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE metric_points (
    metric_id INTEGER NOT NULL,
    recorded_at BIGINT NOT NULL,
    value DECIMAL(20, 4) NOT NULL,
    samples DECIMAL(20, 4),
    min_value DECIMAL(20, 4),
    max_value DECIMAL(20, 4)
);

-- Points that are durable and not yet in metric_points and the rollups: queries read both.
CREATE TABLE tail_points (
    metric_id INTEGER NOT NULL,
    recorded_at BIGINT NOT NULL,
    value DECIMAL(20, 4) NOT NULL,
    samples DECIMAL(20, 4),
    min_value DECIMAL(20, 4),
    max_value DECIMAL(20, 4)
);

CREATE TABLE rollup_minute (
    metric_id INTEGER NOT NULL,
    bucket BIGINT NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    total DECIMAL(38, 4) NOT NULL,
    min_value DECIMAL(20, 4) NOT NULL,
    max_value DECIMAL(20, 4) NOT NULL,
    PRIMARY KEY (metric_id, bucket)
);

CREATE TABLE rollup_hour (
    metric_id INTEGER NOT NULL,
    bucket BIGINT NOT NULL,
    samples DECIMAL(38, 4) NOT NULL,
    total DECIMAL(38, 4) NOT NULL,
    min_value DECIMAL(20, 4) NOT NULL,
    max_value DECIMAL(20, 4) NOT NULL,
    PRIMARY KEY (metric_id, bucket)
);

CREATE TABLE api_keys (
    id BIGINT NOT NULL,
    public_id VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    hash VARCHAR NOT NULL,
    scopes VARCHAR NOT NULL,
    rate_limit INTEGER NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    revoked_at BIGINT
);
