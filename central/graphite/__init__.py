"""Graphite's HTTP API, as far as stock Grafana uses it: paths, targets and functions over our names and series."""
