"""Load scenarios: tokens issued and refreshed at any rate, every answer still checked."""
