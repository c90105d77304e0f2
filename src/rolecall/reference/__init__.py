"""A server that satisfies the specification, and the faults that break it.

Nothing here imports the harness: the server has its own reading of the specification, so that a bug
cannot hide on both sides.
"""
