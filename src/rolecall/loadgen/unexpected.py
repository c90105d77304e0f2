"""Describes an unexpected exception without repeating what it says."""

from __future__ import annotations

from rolecall.errors import place_of


def described(error: Exception) -> str:
    """The exception's type and place; not its text, which may hold what was sent."""
    return f"{type(error).__name__} in {place_of(error) or 'no place'}"


def is_of_memory(description: str) -> bool:
    """Whether what `described` gave is of a machine that had no memory left."""
    return description.startswith(f"{MemoryError.__name__} in ")
