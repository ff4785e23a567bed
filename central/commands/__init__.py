"""`fiesta-central`. In: arguments. Out: a running service, or its answers over REST as text for people and programs."""
