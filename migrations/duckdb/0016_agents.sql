-- The latest books of each agent, as it sent them beside a batch. They are written once per minute.
CREATE TABLE agents (
    id VARCHAR NOT NULL PRIMARY KEY,
    run VARCHAR NOT NULL,
    key_id BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    missing BIGINT NOT NULL,
    books VARCHAR NOT NULL
);
