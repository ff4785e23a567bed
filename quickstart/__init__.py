"""`make run`. In: settings from the environment. Out: central and an agent that run on this host, a key, a greeting."""
