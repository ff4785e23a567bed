"""Measurements: ratios within one run, never a pass or fail of a test."""
