"""The fleet: what each agent says of itself, beside its batches. In: headers. Out: a list for operators.

Read agents.py first, then upkeep.py.
"""
