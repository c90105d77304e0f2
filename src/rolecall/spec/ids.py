"""Ids: any JSON string or number, compared as text (AMB-19), read from the thing itself."""

from __future__ import annotations

import re
import secrets as random
import string
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from rolecall.bounds import ID_LIMIT
from rolecall.evidence import Exchange, recalled

#: The members in which a thing says its own id: resources use the first, JWTs and some servers the
#: second.
MEMBERS = ("id", "_id")


def id_text(value: object) -> str:
    """An id as text; empty for anything but a string or number of a reasonable length."""
    if isinstance(value, str):
        text = value
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    else:
        try:
            text = repr(value)
        except ValueError:  # a whole number of thousands of digits
            return ""
    return text if text.strip() and len(text) <= ID_LIMIT else ""


def own_id(document: object) -> str:
    """The id of a thing itself, not of what it refers to; empty when it does not say."""
    if isinstance(document, Mapping):
        for member in MEMBERS:
            if text := id_text(document.get(member)):
                return text
    return ""


def id_of(exchange: Exchange) -> str:
    """The id of the resource that an answer holds; empty when there is none."""
    return own_id(
        exchange.json[0] if isinstance(exchange.json, list) and exchange.json else exchange.json
    )


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


def identifiers(document: Any) -> Iterator[str]:
    """Every id in a document, at any depth: of the thing itself, and of what it refers to."""
    for value in walked(document):
        if isinstance(value, Mapping):
            yield from (text for member in MEMBERS if (text := id_text(value.get(member))))


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
        return random.choice(string.digits)
    return (
        random.choice("abcdef" if letter.islower() else "ABCDEF")
        if letter in string.ascii_letters
        else letter
    )


_NOT_COUNTED = 16  # characters: no counter has come so far
_OF_CHANCE = 8  # characters


def in_path(id: str) -> str:
    """An id as it stands in a path: a target may make its ids of any characters."""
    return id if id.isascii() and id.isalnum() else quote(id, safe="", errors="backslashreplace")
