"""What the agent says about itself. In: the counts of all stages. Out: /metrics, /health, /status and the log.

Reads and changes nothing; each count is owned by the stage that makes it.
"""
