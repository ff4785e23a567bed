"""Where points live. In: groups of points with their ids. Out: buckets of count, sum, min and max per window.

base says what a store promises. duck is the embedded store, mysql the store for many processes. outage_guard wraps
both.
"""
