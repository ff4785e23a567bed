"""The way to central. In: batches of the spool, one at a time. Out: HTTPS requests, and what their answers mean.

The forwarder owns the connection and the pace. The spool owns a batch until central has acknowledged it.
"""
