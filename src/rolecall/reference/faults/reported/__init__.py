"""Faults that are modelled on public reports, by the place in the code where the bug lives."""
