-- To list the keys and values of the tags of all metrics, and to find series of all metrics by a tag.
-- MySQL 8 cannot add an index a second time, so the statement depends on whether the index is there.
SET @add_index = IF(
    EXISTS (
        SELECT 1 FROM information_schema.STATISTICS
        WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'series_tags' AND INDEX_NAME = 'by_key'
    ),
    'DO 0',
    'ALTER TABLE series_tags ADD INDEX by_key (tag_key, tag_value)'
);
PREPARE add_index FROM @add_index;
EXECUTE add_index;
DEALLOCATE PREPARE add_index;
