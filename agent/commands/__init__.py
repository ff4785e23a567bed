"""`fiesta-agent`. In: arguments and settings. Out: text for people, JSON for programs, an exit code."""
