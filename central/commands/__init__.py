"""`fiesta-central`. In: arguments. Out: a running service; or the service's answers over REST, as text."""
