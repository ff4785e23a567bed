"""From parameters to an answer. In: a query string and the store's buckets. Out: a checked query, then JSON or CSV."""
