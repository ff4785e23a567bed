"""Who may send requests, how often, and for which names. In: an API key. Out: the key's row, or why it is refused.

Auth owns the cache of verified keys of this process. The store owns the keys' rows; Redis owns the shared counts.
"""
