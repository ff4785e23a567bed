"""Sockets. In: datagrams and streams from applications. Out: packets of whole lines, handed to aggregate at once.

Each receiver owns its socket and counts what it read, what the kernel dropped and what was cut.
"""
