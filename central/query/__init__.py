"""From parameters to an answer. In: a query string. Out: a checked query; then the store's buckets as JSON or CSV."""
