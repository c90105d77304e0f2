"""Tests of src/rolecall/commands."""
