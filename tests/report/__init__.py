"""Tests of src/rolecall/report."""
