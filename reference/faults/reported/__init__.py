"""Faults modelled on public reports, one module for each part of the code in which teams make them."""
