"""Sums. In: packets of lines. Out: one closed window with an item per series, and earlier ones of values with a time.

Every sample is in the window or is counted as dropped. The aggregator owns the open window. If the compiled core was
built, part of the window is in it.
"""
