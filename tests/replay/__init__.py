"""Judging a finished run again."""
