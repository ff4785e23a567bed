-- Beside a key's bcrypt hash one that is quick to compare: HMAC-SHA256 of the secret, keyed by that bcrypt hash. A key
-- whose secret was replaced has another bcrypt hash, so its old row here is found no more.
CREATE TABLE fast_hashes (
    hash VARCHAR NOT NULL,
    fast_hash VARCHAR NOT NULL
);
