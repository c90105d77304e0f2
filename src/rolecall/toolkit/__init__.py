"""What a conformance test may import."""
