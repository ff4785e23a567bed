"""The embedded store: DuckDB in one file, for one central process. The engine owns the file and its writer thread."""
