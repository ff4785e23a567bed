"""Group commit. In: submissions of many requests. Out: an answer per request, after its group is durable.

GroupCommit owns a submission from its arrival until its group is in the store or in the spill.
"""
