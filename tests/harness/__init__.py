"""Tests of src/rolecall/harness."""
