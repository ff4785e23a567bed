"""`make run`. In: settings from the environment. Out: central and an agent on this host, a key, and a greeting."""
