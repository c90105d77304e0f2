"""Finds many short texts in long ones, all at once, in linear time.

A text is looked at in words of eight bytes (of four for shorter needles), which are held against a
table in C: nearly every text is done with there. Of each needle a window of fifteen bytes (seven)
holds one such word whole, wherever the needle stands.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Literal

#: The shortest needle, in bytes; what is shorter may stand in any text.
SHORTEST = 6
#: Needles of that length are looked for one by one; there are no more than so many.
MOST_TINY = 64
#: Needles with the same word in their window: beyond that, another window is chosen if there is
#: one.
_CROWDED = 4
#: Comparisons that a text is worth: so many, and one for each of its bytes. An ordinary text takes
#: a hundredth of it.
_COMPARISONS = 2000


class TooMuch(Exception):  # no error: the text cannot be searched with a bearable effort
    """So much of a text is like the needles that looking at all of it would take too long."""


class _Words:
    """Needles by the words in a window of theirs."""

    def __init__(self, letter: Literal["Q", "I"], length: int) -> None:
        self._letter: Literal["Q", "I"] = letter
        self._length = length
        self.window = 2 * length - 1
        self._known: dict[
            int, list[tuple[int, bytes]]
        ] = {}  # a word: where it stands in which needles

    def add(self, needle: bytes) -> None:
        """Look for this one, too: in the window that the fewest others are found by, the last one
        when in doubt.
        """
        last = len(needle) - self.window
        best, fewest = last, sys.maxsize
        for begin in (last, 0, last // 2):
            crowd = self._crowd(needle, begin)
            if crowd < fewest:
                best, fewest = begin, crowd
            if fewest < _CROWDED:
                break
        known, length = self._known, self._length
        for place in range(best, best + length):
            word = int.from_bytes(needle[place : place + length], sys.byteorder)
            if word in known:
                known[word].append((place, needle))
            else:
                known[word] = [(place, needle)]

    def _crowd(self, needle: bytes, begin: int) -> int:
        """How many are found by the first word of a window; with those of its other words it is the
        same or nearly so.
        """
        return len(
            self._known.get(int.from_bytes(needle[begin : begin + self._length], sys.byteorder), ())
        )

    def find(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Where needles stand, in no order.

        Raises:
            TooMuch: it would take too long.
        """
        known, length = self._known, self._length
        if not known:
            return
        words = memoryview(text)[: len(text) // length * length].cast(self._letter)
        if known.keys().isdisjoint(words):  # in C
            return
        left = _COMPARISONS + len(text)
        for number, word in enumerate(words):
            if word in known:
                start = number * length
                candidates = known[word]
                left -= len(candidates)
                if left < 0:
                    raise TooMuch
                for offset, needle in candidates:
                    if start >= offset and text.startswith(needle, start - offset):
                        yield start - offset, needle


class Needles:
    """A growing set of needles; it may grow while another thread searches."""

    def __init__(self) -> None:
        self._long, self._short = _Words("Q", 8), _Words("I", 4)
        self._tiny: tuple[bytes, ...] = ()

    def add(self, needle: bytes) -> None:
        """Look for this one, too, unless it is too short."""
        if len(needle) >= self._long.window:
            self._long.add(needle)
        elif len(needle) >= self._short.window:
            self._short.add(needle)
        elif len(needle) >= SHORTEST and len(self._tiny) < MOST_TINY:
            self._tiny = (*self._tiny, needle)

    def find(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Where needles begin, and which, in no order; they may overlap.

        Raises:
            TooMuch: it would take too long.
        """
        yield from self._long.find(text)
        yield from self._short.find(text)
        for needle in self._tiny:
            start = text.find(needle)
            while start >= 0:
                yield start, needle
                start = text.find(needle, start + len(needle))
