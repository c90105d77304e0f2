"""Tests of src/rolecall/spec."""
