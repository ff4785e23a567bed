"""What both programs stand on, from the standard library alone: settings, standard error, systemd, redaction.

It knows nothing of metrics.
"""
