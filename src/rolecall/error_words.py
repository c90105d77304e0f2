"""What an error says, for a reader who has to know why something was refused."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from rolecall.evidence import Exchange
from rolecall.outcomes import Inconclusive

#: What a server answers at a path, or to a method, that it does not have (RFC 9110 15.5.5, 15.5.6,
#: 15.6.2).
ABSENT = (404, 405, 501)
#: Where errors have their words, the telling ones first: those of the specification, of problem
#: details (RFC 9457 3.1), of OAuth (RFC 6749 5.2), and of frameworks.
_MEMBERS = (
    *("message", "detail", "error_description", "description", "reason", "title", "msg"),
    *("error", "errors", "details"),
)
#: Where an error with a general title says what is wrong with each member of a body, and of which
#: member it is (RFC 9457 3).
_LISTS = ("errors", "violations", "invalid-params", "invalid_params", "invalidParams", "issues")
_PLACES = ("pointer", "field", "path", "property", "param", "name")
_LONGEST = 120  # characters
_DEEP = 4  # levels
_LARGE = 16 * 1024  # bytes of a body; no error of a few words is
_NUMBER = re.compile(r"\(exchange (\d{1,9})\)")


def words_of(exchange: Exchange) -> str:
    """The first words of an error on one line, at most 120 characters; empty where it has none, is
    large, or is no error.
    """
    if exchange.status < 400 or exchange.length > _LARGE:
        return ""
    media_type = exchange.header("content-type").partition(";")[0].strip().lower()
    try:
        document = exchange.json
        text = exchange.text if media_type == "text/plain" else ""
    except Inconclusive:  # it is nested too deep, or was kept in part
        return ""
    if document is not None:
        text = next(_words(document), "")
        more = _of_a_member(document)
        text = f"{text}: {more}" if text and more and more not in text else text or more
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}..."


def _of_a_member(document: Any) -> str:
    """What a list of errors says first, and of which member; empty where there is no such list."""
    parts = (document, document.get("error")) if isinstance(document, dict) else ()
    for part in (part for part in parts if isinstance(part, dict)):
        for name in _LISTS:
            faults = part.get(name)
            first = faults[0] if isinstance(faults, list) and faults else None
            if isinstance(first, dict) and (words := next(_words(first, 1), "")):
                places = (first.get(place) for place in _PLACES)
                place = next((place for place in places if isinstance(place, str)), "")
                return f"{place}: {words}" if place and place not in words else words
    return ""


def words_behind(reason: str, exchanges: Sequence[Exchange]) -> str:
    """The words of the first exchange that a reason names; ``exchanges`` are those of the run."""
    found = _NUMBER.search(reason)
    index = int(found[1]) - 1 if found else -1
    return words_of(exchanges[index]) if 0 <= index < len(exchanges) else ""


def _words(value: Any, depth: int = 0) -> Iterator[str]:
    """The words in an error's document, the telling ones first."""
    if isinstance(value, str):
        yield from [value] if value.strip() else []
    elif depth < _DEEP and isinstance(value, list):
        for member in value[:3]:
            yield from _words(member, depth + 1)
    elif depth < _DEEP and isinstance(value, dict):
        for name in _MEMBERS:
            yield from _words(value.get(name), depth + 1)
        if depth:  # errors by member: {"name": ["is too long"]}
            for name, member in list(value.items())[:3]:
                if name not in _MEMBERS:
                    yield from (f"{name}: {words}" for words in _words(member, depth + 1))
