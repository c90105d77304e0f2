"""Tests of src/rolecall/selftest."""
