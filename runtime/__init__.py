"""What both programs stand on, from the standard library alone: settings, clocks, standard error, systemd, redaction.

It knows nothing of metrics.
"""
