"""From a body to points. In: bytes as sent. Out: a submission of checked items, and an error per item that is not good.

Names owns the cache of names and their ids.
"""
