"""Graphite's functions, a file for each family. In come lines and arguments, out go lines; nothing else is touched.

``table`` has them all by name, each with the parameters that ``/functions`` shows and that calls are checked against.
"""
