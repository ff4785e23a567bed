-- A rejected point keeps its tags, in canonical form (protocol/tags.py), and the histogram of its samples.
ALTER TABLE rejected_points ADD COLUMN tags VARCHAR;
ALTER TABLE rejected_points ADD COLUMN histogram BLOB;
