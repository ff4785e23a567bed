"""What both programs share. It uses the standard library only and knows nothing about metrics.

Settings and their rules, addresses, clocks, start errors, log lines, redaction, systemd and the journal.
"""
