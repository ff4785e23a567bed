"""Both wire formats: StatsD lines from applications, and JSON batches to central. No I/O."""
