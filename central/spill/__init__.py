"""The spill: groups wait here while the database is down. In: groups that the store did not take. Out: those groups,
each stored once.

The Redis stream owns an entry from its acknowledgement until the drain has stored it.
"""
