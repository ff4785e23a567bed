"""The per-host agent: receive, parse, aggregate, batch, spool, forward."""
