-- What is known of a key beside its row: when it ends, and when it was last used, in UTC seconds. Keys without a row
-- never end, and were not used since this table is here.
CREATE TABLE key_facts (
    key_id BIGINT NOT NULL PRIMARY KEY,
    expires_at BIGINT,
    last_used_at BIGINT
);
