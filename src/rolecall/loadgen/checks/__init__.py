"""The checks that every answer has to pass."""
