"""Commands of their own that measure; see CONTRIBUTING.md."""
