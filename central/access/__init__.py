"""Who may send requests, and how often. In: an API key. Out: the key's row, and whether it is within its rate limit.

Auth owns the cache of verified keys of this process. The store owns the keys' rows; Redis owns the shared counts.
"""
