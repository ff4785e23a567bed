"""Sockets. In: datagrams and streams from applications. Out: packets of whole lines, given to aggregate at once.

Each receiver owns its socket. It counts what it read, what the kernel dropped and what was cut. With the compiled core,
a thread without Python reads UDP and counts it; the event loop reads everything else.
"""
