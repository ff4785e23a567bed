"""Both wires: StatsD lines from applications, JSON batches to the central service. No I/O."""
