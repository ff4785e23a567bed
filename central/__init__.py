"""The central service. REST requests come in; durable points and exact answers go out.

web -> access -> ingest -> write -> store, with spill where the store is away; web -> access -> query -> store.
app wires them.
"""
