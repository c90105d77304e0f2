"""Tests of src/rolecall/loadgen/measure."""
