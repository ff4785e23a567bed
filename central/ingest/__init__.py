"""From a body to points. In: bytes as sent. Out: a submission of valid items, and one error per invalid item.

Names owns the cache of names and their ids.
"""
