"""The embedded store: a DuckDB file for one central process. The engine owns the file and its threads."""
