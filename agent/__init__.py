"""The agent of one host. StatsD lines come in over UDP, unix sockets and TCP; batches go out to central over HTTPS.

receive -> aggregate -> flush -> spool -> forward. app wires them, ledger counts every sample,
telemetry shows the counts.
"""
