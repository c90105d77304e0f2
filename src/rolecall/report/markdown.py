"""Writes words of others in Markdown such that none is a link, an image or a tag."""

from __future__ import annotations

import re

from rolecall.screen import harmless

_LONGEST = 600  # characters of somebody else's words
#: Signs of Markdown, and of what GitHub adds to it: tables, mentions, issues, mathematics.
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#|~$])")
#: What is one only where a line begins, and what makes a link or a mention of an address.
_AT_THE_BEGINNING = re.compile(r"^(\d{1,9}(?=[.)](?: |$)))?([-+=.)])")
_ADDRESS = re.compile(r"(?i)www(?=\.)|\w(?=://)|@")


def bounded(text: str) -> str:
    """A text on one line, or its beginning."""
    text = harmless(" ".join(text.split()))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def entities(text: str) -> str:
    """A text without tags."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def text(text: str) -> str:
    """A text of which nothing is a tag, a link, a mention or any other sign of Markdown."""
    text = _SPECIAL.sub(r"\\\1", bounded(text))
    text = _AT_THE_BEGINNING.sub(r"\1\\\2", text)
    # A comment of HTML is no word, and so no address goes on behind it.
    return _ADDRESS.sub(r"\g<0><!-- -->", entities(text))


def code(text: str) -> str:
    """A code span, in a table too; its fence is longer than any within (CommonMark 6.1)."""
    text = bounded(text).replace("|", "\\|") or " "
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    space = " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{space}{text}{space}{fence}"


def fence(text: str) -> str:
    """A block of code, with a fence that is longer than any within (CommonMark 4.5)."""
    text = harmless(text)
    fence = "`" * max(3, max(map(len, re.findall("`+", text)), default=0) + 1)
    return f"{fence}sh\n{text}\n{fence}"
