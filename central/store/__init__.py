"""Where points live. In: groups of points with their ids. Out: count, sum, min, max and histogram per window.

base says what a store promises. duck is the embedded store, mysql the store for many processes. outage_guard wraps
both.
"""
