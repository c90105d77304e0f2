"""Ids: any JSON string or number, compared as text (AMB-19), read from the thing itself."""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from rolecall.envelopes import id_text, is_of_id, own_id, says_id
from rolecall.evidence import Exchange, recalled

__all__ = [
    "Place",
    "id_at",
    "id_of",
    "id_text",
    "identifiers",
    "in_path",
    "is_of_id",
    "own_id",
    "says_id",
    "texts_in",
    "unused_id",
    "walked",
]

#: Where a value of a document is: the names of members, and the numbers in lists, that lead to it.
Place = tuple[str | int, ...]


def id_of(exchange: Exchange) -> str:
    """The id of the resource that an answer holds; empty when there is none."""
    listed = exchange.listed
    return own_id(listed[0] if listed else exchange.document)


def id_at(location: str, path: str) -> str:
    """The id in an address of a thing, as a Location has it; empty where it is no such address.

    Args:
        location: the address, whole or in part: a proxy may be before its host.
        path: where such things are fetched, with the placeholder ``{id}``.
    """
    before, _, after = path.partition("{id}")
    pattern = f"{re.escape(before)}([^/]+){re.escape(after)}/?"
    try:
        found = re.search(f"{pattern}$", urlsplit(location).path)
    except ValueError:  # no address at all
        return ""
    return id_text(unquote(found[1])) if found else ""


def walked(document: Any) -> Iterator[Any]:
    """A document and every value in it, at any depth, a thing before what is in it."""
    left = [document]
    while left:
        value = left.pop()
        yield value
        if isinstance(value, Mapping):
            left += reversed(list(value.values()))
        elif isinstance(value, list):
            left += reversed(value)


def texts_in(document: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """The texts in a document, at any depth and in their order, and where each is."""
    left = [(place, document)]
    while left:
        place, value = left.pop()
        if isinstance(value, str):
            yield place, value
        elif isinstance(value, Mapping):
            left += reversed([((*place, name), inner) for name, inner in value.items()])
        elif isinstance(value, list):
            left += reversed([((*place, number), inner) for number, inner in enumerate(value)])


def identifiers(document: Any) -> Iterator[str]:
    """Every id in a document, at any depth: of the thing itself, and of what it refers to."""
    for value in walked(document):
        if isinstance(value, Mapping):
            yield from (
                text
                for member, inner in value.items()
                if says_id(member) and (text := id_text(inner))
            )


def unused_id(id: str) -> str:
    """An id that looks like this one and does not exist: its end is random."""
    other: str = recalled("an id that is not in use", lambda: _unused(id))
    return other


def _unused(id: str) -> str:
    whole = id if len(id) >= _NOT_COUNTED else id.ljust(_NOT_COUNTED, "7")
    kept, end = (whole[:-_OF_CHANCE], whole[-_OF_CHANCE:]) if whole == id else ("", whole)
    other = id
    while other == id:
        other = kept + "".join(_like(letter) for letter in end)
    return other


def _like(letter: str) -> str:
    if letter in string.digits:
        return secrets.choice(string.digits)
    return (
        secrets.choice("abcdef" if letter.islower() else "ABCDEF")
        if letter in string.ascii_letters
        else letter
    )


_NOT_COUNTED = 16  # characters: no counter has come so far
_OF_CHANCE = 8  # characters


def in_path(id: str) -> str:
    """An id as it stands in a path: a target may make its ids of any characters."""
    return id if id.isascii() and id.isalnum() else quote(id, safe="", errors="backslashreplace")
