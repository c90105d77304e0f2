"""Describes an unexpected exception without repeating what it says."""

from __future__ import annotations

import traceback
from pathlib import Path


def described(error: Exception) -> str:
    """The exception's type and place; not its text, which may hold what was sent."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in " + (
        f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "no place"
    )


def is_of_memory(description: str) -> bool:
    """Whether what `described` gave is of a machine that had no memory left."""
    return description.startswith(f"{MemoryError.__name__} in ")
