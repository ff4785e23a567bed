"""The central service. REST requests come in; durable points and exact answers go out.

web -> access -> ingest -> write -> store, with spill while the store is down; web -> access -> query -> store.
app wires them.
"""
