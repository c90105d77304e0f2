"""Tests of src/rolecall/loadgen/checks."""
