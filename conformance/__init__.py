"""What is required of a server, and the tests that prove it."""
