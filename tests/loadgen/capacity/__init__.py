"""Tests of src/rolecall/loadgen/capacity."""
