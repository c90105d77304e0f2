"""Things on the target that tests act upon: how their requests are written and what became of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from rolecall.bounds import ID_LIMIT
from rolecall.conformance.tables import Operation, Resource
from rolecall.evidence import Exchange

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_WHOLE = re.compile(r"^\{(\w+)\}$")


@dataclass(frozen=True)
class Fixture:
    """One thing on the target. ``name`` is unique to this run (empty when the thing was there before)."""

    resource: Resource
    id: str
    name: str
    made_by: Exchange | None = field(default=None, repr=False)
    conversation: str = ""

    def __str__(self) -> str:
        return f"{self.resource.name} {self.id}"


@dataclass(frozen=True)
class Request:
    """A request of an operation, ready to be sent by any caller."""

    operation: Operation
    path: str
    body: Any = None
    name: str = ""
    fixture: Fixture | None = None


def fill(template: Any, values: Mapping[str, Any]) -> Any:
    """A body with its placeholders replaced; a member whose placeholder has no value is left out."""
    if isinstance(template, Mapping):
        filled = {key: fill(value, values) for key, value in template.items()}
        return {key: value for key, value in filled.items() if value is not None or template[key] is None}
    if isinstance(template, list):
        return [fill(value, values) for value in template]
    if not isinstance(template, str):
        return template
    if whole := _WHOLE.match(template):
        return values.get(whole.group(1))
    return fill_text(template, values)


def fill_text(template: str, values: Mapping[str, Any]) -> str:
    """A text with its placeholders replaced."""
    return _PLACEHOLDER.sub(lambda match: str(values.get(match.group(1), "")), template)


def fill_path(template: str, values: Mapping[str, Any]) -> str:
    """A path with its placeholders replaced; a value stays within its segment, or its parameter (RFC 3986 2.1)."""
    return fill_text(template, {name: in_path(str(value)) for name, value in values.items()})


def in_path(id: str) -> str:
    """An id as it stands in a path: a target may make its ids of any characters."""
    return quote(id, safe="", errors="backslashreplace")


def contains(document: Any, wanted: Any) -> bool:
    """Whether ``document`` has every member of ``wanted``, at any depth; what it has besides does not matter."""
    if isinstance(wanted, Mapping):
        return isinstance(document, Mapping) and all(contains(document.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return isinstance(document, list) and all(any(contains(have, want) for have in document) for want in wanted)
    return bool(document == wanted)


def identifiers(document: Any) -> Iterator[str]:
    """Every ``id`` in a document, at any depth."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            if key in ("id", "_id") and isinstance(value, str):
                yield value
            yield from identifiers(value)
    elif isinstance(document, list):
        for value in document:
            yield from identifiers(value)


def id_of(exchange: Exchange) -> str:
    """The id of the resource that an answer holds; empty when there is none, or one that no path can hold."""
    document = exchange.json[0] if isinstance(exchange.json, list) and exchange.json else exchange.json
    value = document.get("id") if isinstance(document, dict) else None
    return value if isinstance(value, str) and len(value) <= ID_LIMIT else ""


def items(exchange: Exchange) -> list[dict[str, Any]]:
    """The objects of a list answer; empty when it is no list."""
    return [item for item in exchange.json if isinstance(item, dict)] if isinstance(exchange.json, list) else []
