"""`make run`. In: the settings of a shell. Out: central and an agent on this host, a key, and what to try first."""
