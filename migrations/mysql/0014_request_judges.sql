-- One row per request id, whatever its day, on servers whose locking reads do not keep other nodes out (Galera, TiDB).
-- Two nodes that store the same id under two days both write this row, and so one of them loses. The rows go with the
-- ids of their day.
CREATE TABLE IF NOT EXISTS request_judges (
    id BINARY(16) NOT NULL PRIMARY KEY,
    day DATE NOT NULL,
    INDEX by_day (day)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4;
