"""Tests of src/rolecall/http."""
