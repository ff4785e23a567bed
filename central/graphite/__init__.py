"""Graphite's HTTP API, as far as stock Grafana uses it.

In come paths with wildcards, expressions over tags, and targets. Out go names, series, and lines of numbers. It only
reads. The Finder keeps names in memory, and central.app owns the Finder.
"""
