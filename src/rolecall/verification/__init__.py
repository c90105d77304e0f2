"""Checks a run's folder against its certificate, for `rolecall verify`."""
