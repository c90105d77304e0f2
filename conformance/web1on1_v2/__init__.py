"""The tables of the Web1on1 REST API, v2: the page on authentication."""
