"""The central service: ingest, store and query metrics over REST."""
