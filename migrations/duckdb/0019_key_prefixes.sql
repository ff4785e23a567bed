-- The prefixes of the names that a key may use, with commas between. Keys without a row may use all names.
CREATE TABLE key_prefixes (
    key_id BIGINT NOT NULL PRIMARY KEY,
    prefixes VARCHAR NOT NULL
);
