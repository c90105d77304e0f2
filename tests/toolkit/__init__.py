"""Tests of src/rolecall/toolkit."""
