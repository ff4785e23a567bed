"""Where points live: one protocol (base), and two stores that pass its tests.

These are DuckDB in one file (duck), for one process, and MySQL or MariaDB (mysql), for many.
"""
