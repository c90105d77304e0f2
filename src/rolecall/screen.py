"""Prints text safely: no word of a target moves the cursor, starts a line or reverses text."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Iterable
from typing import Any, TextIO

#: Kinds of characters that are not shown but do something: controls, formats (of reading direction,
#: above all), ends of lines and paragraphs, halves of characters (Unicode 4.5, general categories).
_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: What our own texts may hold: ends of lines, and colours where there are to be some.
_LINES = re.compile(r"(\n)")
_LINES_AND_COLOURS = re.compile("(\n|\x1b\\[[0-9;]*m)")

#: What a CI system takes for a command to itself where it stands in a job's log: `##vso[...]` and
#: `##[...]` anywhere in a line (Azure Pipelines, GitHub), `##teamcity[...]`; and `::name ...::` at
#: the beginning of one (GitHub), where a line that is wrapped may begin.
_COMMAND = re.compile(r"#(?=#\w*\[)|(?<!\S):(?=:[\w-]+(?:\s[^:]*)?::)")

#: Errors of a stream whose reader has left: a closed pipe, a terminal that hung up.
_NOBODY_READS = frozenset({errno.EPIPE, errno.EIO, errno.ENXIO, errno.ECONNRESET})
#: Columns of a terminal that does not say how wide it is.
_WIDTH = 80
#: What the system said when something could not be written on standard output.
_lost: list[str] = []


def harmless(text: str) -> str:
    """Somebody else's words as part of a line: what would act on a terminal, or on a CI system that
    reads along, is written as an escape that can be seen.
    """
    text = no_command(text, "\\x{:02x}")
    if text.isprintable():
        return text
    return "".join(
        _visible(character) if unicodedata.category(character) in _ACTING else character
        for character in text
    )


def no_command(text: str, escape: str) -> str:
    """A text in which a CI system finds no command to itself: a sign of each is written as an
    ``escape``, which has a place for its number.
    """
    if "##" not in text and "::" not in text:
        return text
    return _COMMAND.sub(lambda found: escape.format(ord(found[0])), text)


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


def say(
    text: str, *, stream: TextIO | None = None, colour: bool = False, wraps: bool = False
) -> None:
    """Print a text at once, on standard output unless a ``stream`` is given. When the reader is
    gone, or the disk is full, the work goes on; `output_lost` knows of the latter.

    The caller has made other people's words in the text harmless, line by line; this is a last
    check. ``colour``: the text holds colours of ours. ``wraps``: its lines are names and values,
    which a terminal is to show without breaking words.
    """
    stream = sys.stdout if stream is None else stream
    if stream is None:  # our parent process closed it
        return
    if wraps:
        text = "\n".join(wrapped(text.split("\n"), width_of(stream)))
    pieces = (_LINES_AND_COLOURS if colour else _LINES).split(text)
    pieces[::2] = map(harmless, pieces[::2])
    write("".join(pieces) + "\n", stream)


def write(text: str, stream: TextIO) -> None:
    """Write a text of ours as it is, at once; when that fails, the work goes on as after `say`."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        _give_up(stream, error)


def _give_up(stream: TextIO, error: OSError) -> None:
    """Write the rest of a stream nowhere; what is lost for a reader who is there is noted."""
    if stream is sys.stdout and error.errno not in _NOBODY_READS:
        _lost.append(error.strerror or type(error).__name__)
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    with contextlib.suppress(OSError):
        stream.flush()  # what it still holds


def output_lost() -> str:
    """Why standard output is not whole, as the system says it; empty where it is. Asked once, at
    the end of a command.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout, error)
    why = "; ".join(dict.fromkeys(_lost))
    _lost.clear()
    return why


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


def wrapped(lines: Iterable[str], width: int | None) -> list[str]:
    """Lines of a table of names and values (the first 14 columns), each within the width."""
    return [piece for line in lines for piece in wrapped_line(line, width, "", " " * 14)]


def over(line: str, width: int | None, *, passing: bool) -> str:
    """A line that is written over the one before it: a passing one is cut to the terminal's width,
    and stays on its row; any other is wrapped between words, and ends.
    """
    room = (width or _WIDTH) - 1  # a row that is full would begin the next one
    if not passing:
        pieces = wrapped([line], room)
        return "".join(f"\r{piece:<{room}}\n" for piece in pieces)
    return f"\r{line[:room]:<{room}}"


def wrapped_line(text: str, width: int | None, first: str, rest: str) -> list[str]:
    """A text in lines of at most ``width`` columns; words, and what has no spaces, stay whole."""
    if width is None or len(first) + len(text) <= width:
        return [first + text]
    lead = re.match(r"(?:\S+ {2,})?", text)  # textwrap would break at, and drop, a name's padding
    padded = lead[0].replace(" ", "\0") + text[lead.end() :] if lead else text
    lines = textwrap.wrap(
        padded,
        width,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\0", " ") for line in lines]
