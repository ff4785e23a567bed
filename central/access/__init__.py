"""Who may send requests, and how often. In: an API key. Out: the key's row, its scopes and its place in the rate limit.

Auth owns the verified keys of this process; the store owns the keys' rows, Redis the shared counts.
"""
