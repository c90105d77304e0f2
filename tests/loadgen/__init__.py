"""Tests of src/rolecall/loadgen."""
