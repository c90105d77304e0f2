"""Prints text safely: no word of a target moves the cursor, starts a line or reverses text."""

from __future__ import annotations

import os
import re
import shutil
import sys
import unicodedata
from typing import Any, TextIO

#: Kinds of characters that are not shown but do something: controls, formats (of reading direction,
#: above all), ends of lines and paragraphs, halves of characters (Unicode 4.5, general categories).
_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: What our own texts may hold: ends of lines, and colours where there are to be some.
_LINES = re.compile(r"(\n)")
_LINES_AND_COLOURS = re.compile("(\n|\x1b\\[[0-9;]*m)")


def harmless(text: str) -> str:
    """Somebody else's words as part of a line: what would act on a terminal is written as an escape
    that can be seen.
    """
    if text.isprintable():
        return text
    return "".join(
        _visible(character) if unicodedata.category(character) in _ACTING else character
        for character in text
    )


def _visible(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def harmless_document(document: Any) -> Any:
    """A JSON document with every text in it harmless, names of members too."""
    if isinstance(document, dict):
        return {
            harmless_document(name): harmless_document(value) for name, value in document.items()
        }
    if isinstance(document, list | tuple):
        return [harmless_document(value) for value in document]
    return harmless(document) if isinstance(document, str) else document


def say(text: str, *, stream: TextIO | None = None, colour: bool = False) -> None:
    """Print a text at once, on standard output unless a ``stream`` is given. When the reader is
    gone, the work goes on.

    The caller has made other people's words in the text harmless, line by line; this is a last
    check. ``colour``: the text holds colours of ours.
    """
    stream = sys.stdout if stream is None else stream
    if stream is None:  # our parent process closed it
        return
    pieces = (_LINES_AND_COLOURS if colour else _LINES).split(text)
    pieces[::2] = map(harmless, pieces[::2])
    try:
        print("".join(pieces), file=stream, flush=True)
    except OSError:  # a closed pipe, or a terminal that hung up
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def is_terminal(stream: TextIO | None) -> bool:
    """Whether the stream is a terminal on which a line can be rewritten (not ``TERM=dumb``)."""
    return stream is not None and stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colours(stream: TextIO | None) -> bool:
    """Whether to use colours: on a terminal without ``NO_COLOR`` (no-color.org)."""
    return is_terminal(stream) and not os.environ.get("NO_COLOR")


def width_of(stream: TextIO | None) -> int | None:
    """The columns of a terminal, at least 40; None for a file or a pipe: their lines do not end."""
    if stream is None or not stream.isatty():
        return None
    return max(40, shutil.get_terminal_size().columns)
