"""What both programs stand on, from the standard library alone. It knows nothing of metrics.

Settings and their rules, addresses, clocks, start errors, log lines, redaction, systemd and the journal.
"""
