"""Reads values that came from another machine: of the expected type and within bounds, or refused.

A refusal names the value, and never repeats it: it may hold a secret, or be of any length.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

#: The most that a figure of a run can be, whatever it counts.
MOST = 10**12
#: Characters of a text: the history of a race of ten thousand has a line of a hundred for each.
_LONGEST_TEXT = 4_000_000


class UnreadableValue(ValueError):
    """A value is not what it should be."""


def whole(what: str, value: object, least: int = 0, most: int = MOST) -> int:
    """A whole number in a range."""
    if type(value) is not int or not least <= value <= most:
        raise UnreadableValue(f"{what} is not a whole number from {least:,} to {most:,}")
    return value


def number(what: str, value: object, least: float = 0.0, most: float = MOST) -> float:
    """A number in a range, whole or not; infinite only if the range is."""
    if type(value) not in {int, float} or not least <= value <= most:  # type: ignore[operator]
        raise UnreadableValue(f"{what} is not a number from {least:g} to {most:g}")
    assert isinstance(value, int | float)
    return value


def flag(what: str, value: object) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise UnreadableValue(f"{what} is neither true nor false")
    return value


def text(what: str, value: object) -> str:
    """A text of a bounded length."""
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
        raise UnreadableValue(f"{what} is not a text of at most {_LONGEST_TEXT:,} characters")
    return value


def mapping(what: str, value: object) -> Mapping[Any, Any]:
    """Members by name; neither names nor members are read yet."""
    if not isinstance(value, Mapping):
        raise UnreadableValue(f"{what} is not a mapping")
    return value


def sequence(
    what: str, value: object, *, length: int | None = None, most: int = 100_000
) -> Sequence[Any]:
    """A list of a length, or of a bounded one; its elements are not read yet."""
    if not isinstance(value, list | tuple):
        raise UnreadableValue(f"{what} is not a list")
    if length is not None and len(value) != length:
        raise UnreadableValue(f"{what} has {len(value):,} elements, not {length:,}")
    if len(value) > most:
        raise UnreadableValue(f"{what} has more than {most:,} elements")
    return value


def counts(what: str, value: object, names: Collection[str] | None = None) -> dict[str, int]:
    """Counts by name, where ``names`` are given by one of them."""
    read = {text(what, name): whole(what, count) for name, count in mapping(what, value).items()}
    if names is not None and not read.keys() <= set(names):
        raise UnreadableValue(f"{what} has a name that is unknown here")
    return read
