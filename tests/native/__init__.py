"""The C of ``native/``: how it is written, and the cores under sanitizers, beside plain Python (``make sanitize``)."""
