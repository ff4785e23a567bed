"""The journal: what was read and is not in the spool yet is in a file map, so that ``kill -9`` loses nothing of it.

In: packets as they were read, before they are counted. Out, at the next start: the same packets, for the windows that a
killed agent has left. The agent owns the file; nothing in it is needed once the window's batches are in the spool.
"""
