"""Where groups wait while the database is away. In: groups the store did not take. Out: the same groups, stored once.

The Redis stream owns an entry from its acknowledgement until the drain has stored it.
"""
