-- A rejected point keeps its tags, in canonical form (protocol/tags.py), and the histogram of its samples.
-- MySQL 8 cannot add a column a second time, so the statement depends on whether the column is there.
SET @add_tags = IF(
    EXISTS (
        SELECT 1 FROM information_schema.COLUMNS
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'rejected_points' AND COLUMN_NAME = 'tags'
    ),
    'DO 0',
    'ALTER TABLE rejected_points ADD COLUMN tags TEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL,
    ADD COLUMN histogram MEDIUMBLOB NULL'
);
PREPARE add_tags FROM @add_tags;
EXECUTE add_tags;
DEALLOCATE PREPARE add_tags;
