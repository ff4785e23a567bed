-- Beside a key's bcrypt hash one that is quick to compare: HMAC-SHA256 of the secret, keyed by that bcrypt hash. A key
-- whose secret was replaced has another bcrypt hash, so its old row here is found no more.
CREATE TABLE IF NOT EXISTS fast_hashes (
    hash VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
    fast_hash CHAR(64) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
