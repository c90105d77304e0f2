"""Tests of src/rolecall/loadgen/transport."""
