"""The suite's way to the target: one client, its layers, and the only import of httpx."""
