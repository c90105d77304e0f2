"""A finished run once more: the same suite, answered from the evidence instead of by the target."""
