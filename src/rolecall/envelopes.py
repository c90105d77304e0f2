"""What an answer holds, without what is wrapped round it: the specification shows no wrapping, and
forbids none (AMB-13).

Lists come as an array, as ``{"items": [...], "total": 3}``, under the name of the resource, in
``_embedded`` (HAL), or as members of an object by their ids; things come as they are, in ``data``,
under the name of the resource, or with their members in ``attributes`` (JSON:API).

What is wrapped is recognised by what surrounds it: nothing but remarks about the answer. A thing
that says no id of its own, and refers to another one, is no wrapping: its other members are told
from remarks, so that what it refers to is never taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from rolecall.bounds import ID_LIMIT

#: The members in which a thing says its own id: resources use the first, JWTs and some servers the
#: second; some write them otherwise.
MEMBERS = ("id", "_id")
_OTHERWISE = re.compile(r"_?id|_?u?uid|guid", re.IGNORECASE)
_LONGEST = 5
#: Members that say something about an answer and are no part of what it is about.
_REMARK = re.compile(
    r"total|count|pages?|limit|offset|size|next|prev|cursor|more|status|code|message|msg|success|ok$"
    r"|error|warning|took|request|trace|time|version|links?$|meta|paging|pagination|included|kind$"
    r"|object$|^@?type$|^@|url|uri|self|href|first|last|from$|to$|etag|info|result_?type",
    re.IGNORECASE,
)
#: Of these, what are never the things that were asked for.
_BESIDE = re.compile(
    r"^_?(links?|meta|included|errors?|warnings?|info|paging|pagination)$", re.IGNORECASE
)
#: Members beside a list that say where it goes on, and those that say that it does.
_NEXT = re.compile(r"_?next(?:_?(?:page|link|url|uri|href))*", re.IGNORECASE)
_GOES_ON = re.compile(
    r"_?has_?(?:more|next)(?:_?page)?|_?next_?(?:page_?)?(?:cursor|token|offset|page)?|cursor",
    re.IGNORECASE,
)
_DEEPEST = 3  # wrappings in each other


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
    return id_text(given_id(document))


def given_id(document: object) -> object:
    """The same as the thing has it, a text or a number; None when it does not say."""
    if not isinstance(document, Mapping):
        return None
    for member in MEMBERS:
        if id_text(value := document.get(member)):
            return value
    return next(
        (value for name, value in document.items() if says_id(name) and id_text(value)), None
    )


def says_id(member: str) -> bool:
    """Whether a member is one in which a thing says its own id."""
    return len(member) <= _LONGEST and bool(_OTHERWISE.fullmatch(member))


def is_of_id(document: object, id: str) -> bool:
    """Whether a thing says that it has this id: as its own, or, where it says none that we know by
    name, in any member of its own.
    """
    if not id or not isinstance(document, Mapping):
        return False
    own = own_id(document)
    return own == id if own else any(id_text(value) == id for value in document.values())


class Document:
    """A JSON document (``value``), and what it is about: that is looked for once, since the tests
    at the end of a run ask every answer.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    @cached_property
    def _inside(self) -> Any:
        return unwrapped(self.value)

    @property
    def thing(self) -> dict[str, Any]:
        """The object that it is about; an empty one where it is about none."""
        found = self._inside
        if isinstance(found, list) and len(found) == 1:  # the one that was asked for
            found = found[0]
        return found if isinstance(found, dict) else {}

    @property
    def things(self) -> list[Any] | None:
        """The array that it is about; None where it is about none."""
        return self._inside if isinstance(self._inside, list) else None


def unwrapped(document: Any) -> Any:
    """A JSON document as an array of things, or as one thing, where it is either in a wrapping;
    else as it is.
    """
    found = _inner(document)
    if isinstance(found, list):
        if all(map(own_id, found)) and not any(map(_is_split, found)):
            return found
        return [_flat(inner if own_id(inner := _inner(item)) else item) for item in found]
    return _flat(found)


def next_link(document: Any) -> str:
    """Where the body of a list says that it goes on; empty where it says no address."""
    for name, value in _remarks(document):
        link = value.get("href") if isinstance(value, dict) else value
        if _NEXT.fullmatch(name) and isinstance(link, str) and link.startswith(("/", "?", "http")):
            return link
    return ""


def goes_on(document: Any) -> bool:
    """Whether the body of a list says that there is more."""
    return any(
        _GOES_ON.fullmatch(name) and value not in (None, False, "", 0, {})
        for name, value in _remarks(document)
    )


def _remarks(document: Any, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """What stands round a list, not in it: members and their values."""
    if isinstance(document, dict) and not own_id(document) and depth < _DEEPEST:
        for name, value in document.items():
            yield name, value
            yield from _remarks(value, depth + 1)


def _inner(document: Any, depth: int = 0) -> Any:
    if not isinstance(document, dict) or not document or own_id(document) or depth == _DEEPEST:
        return document
    if all(own_id(value) == key for key, value in document.items()):
        return list(document.values())
    inside = [
        found
        for name, value in document.items()
        if not _BESIDE.match(name)
        if isinstance(found := _inner(value, depth + 1), list) or own_id(found)
    ]
    rest = [
        name
        for name, value in document.items()
        if isinstance(value, str | int | float)
        and not isinstance(value, bool)
        and not _REMARK.search(name)
    ]
    return inside[0] if len(inside) == 1 and not rest and _is_of_things(inside[0]) else document


def _is_of_things(found: Any) -> bool:
    return not isinstance(found, list) or all(isinstance(item, dict) for item in found)


def _is_split(thing: Any) -> bool:
    """Whether a thing has its members apart from its id, as JSON:API has it."""
    return isinstance(thing, dict) and isinstance(thing.get("attributes"), dict) and "id" in thing


def _flat(thing: Any) -> Any:
    if not _is_split(thing):
        return thing
    return thing["attributes"] | {name: thing[name] for name in thing if name != "attributes"}
