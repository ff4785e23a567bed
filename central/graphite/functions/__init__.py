"""Graphite's functions, one file per family. They get lines and arguments, and return lines; they touch nothing else.

``table`` has them all by name. Each has its parameters: ``/functions`` shows them, and every call is checked with them.
"""
