"""What every answer is held against."""
