-- Which of StatsD's types owns a name, and for samples of which other name it was made where that belongs to another
-- type. Names without a row have no owner yet.
CREATE TABLE name_owners (
    metric_id INTEGER NOT NULL,
    owner VARCHAR NOT NULL CHECK (owner IN ('counter', 'timing', 'gauge', 'set')),
    clash_of VARCHAR
);
