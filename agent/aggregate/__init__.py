"""Sums. In: packets of lines. Out: one closed window with an item per name.

Every sample is in the window or is counted as dropped. The aggregator owns the open window. If the compiled core was
built, part of the window is in it.
"""
