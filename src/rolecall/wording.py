"""Parts of sentences and documents: how many, the first few names, a long text, a moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime


def counted(number: int, noun: str) -> str:
    """``1 test``, ``2 tests``, ``1,200 tests``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def first_few(names: Sequence[str], most: int) -> str:
    """``a, b and 3 more``: the first ``most`` names, and how many others there are."""
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def shortened(text: str, most: int) -> str:
    """A text, or its first ``most`` characters and how many it has."""
    return text if len(text) <= most else f"{text[:most]} ... ({len(text):,} characters)"


def iso_time(moment: float) -> str:
    """Seconds since 1970 as ISO 8601 has them, in UTC with milliseconds."""
    text = datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
