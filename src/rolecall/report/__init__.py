"""One small writer per format."""
