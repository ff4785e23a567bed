-- What was acknowledged from a buffer and then could not be: its name has another type, or is over a cap.
CREATE TABLE rejected_points (
    name VARCHAR NOT NULL,
    type VARCHAR NOT NULL CHECK (type IN ('counter', 'value')),
    recorded_at BIGINT NOT NULL,
    value DECIMAL(20, 4) NOT NULL,
    samples DECIMAL(20, 4),
    min_value DECIMAL(20, 4),
    max_value DECIMAL(20, 4),
    reason VARCHAR NOT NULL
);
