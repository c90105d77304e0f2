"""Measures response times and counts, and adds them up over workers."""
