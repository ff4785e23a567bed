"""From a body to points. In: a body's bytes. Out: a submission with the valid items, and an error per invalid item.

The class Names owns the cache of names and their ids.
"""
