"""What the agent says about itself. In: the counts of all stages. Out: /metrics, /health, /status and the log.

It only reads. Each count belongs to the stage that makes it.
"""
