"""The query of a list: filters, order, page, selection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from rolecall.reference.errors import bad_request
from rolecall.reference.strict_json import Document, dumps

DEFAULT_LIMIT = 100
LARGEST_LIMIT = 1000
LARGEST_OFFSET = 2**31

CONTROLS = frozenset({"limit", "offset", "sort", "select", "populate"})


@dataclass(frozen=True)
class Filter:
    """One condition: a field, an operator, the values that will do."""

    path: tuple[str, ...]
    operator: str
    values: tuple[str, ...]

    @classmethod
    def parse(cls, name: str, value: str) -> Filter:
        """As the vendor's client writes them: `~x` contains, `>` and `>=`, `^x` begins, `[a,b]` one
        of.
        """
        path = tuple(name.split("."))
        if value.startswith("[") and value.endswith("]"):
            return cls(path, "in", tuple(part.strip() for part in value[1:-1].split(",")))
        for operator in (">=", ">", "~", "^"):
            if value.startswith(operator):
                return cls(path, operator, (value.removeprefix(operator),))
        return cls(path, "in", (value,))

    @property
    def text(self) -> str | None:
        """What a document's text has to contain if it matches; None if that cannot be said."""
        if self.operator != "in" or len(self.values) != 1:
            return None
        return dumps(self.values[0])[1:-1]

    def matches(self, document: Document) -> bool:
        """Whether any value at the path will do."""
        return any(self._holds(spell(value)) for value in values_at(document, self.path))

    def _holds(self, text: str) -> bool:
        if self.operator == "in":
            return text in self.values
        value = self.values[0]
        if self.operator == "~":
            return value.lower() in text.lower()
        if self.operator == "^":
            return text.startswith(value)
        return text >= value if self.operator == ">=" else text > value


def values_at(value: Any, path: tuple[str, ...]) -> Iterable[Any]:
    """The values a dotted path leads to; a list is looked through."""
    if isinstance(value, list):
        for member in value:
            yield from values_at(member, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from values_at(value[path[0]], path[1:])


def spell(value: Any) -> str:
    """A value as it stands in a query."""
    return value if isinstance(value, str) else dumps(value)


@dataclass(frozen=True)
class ListQuery:
    """A list's query, understood."""

    filters: tuple[Filter, ...]
    sort: tuple[str, ...]
    select: tuple[str, ...]
    populate: tuple[str, ...]
    limit: int
    offset: int

    @classmethod
    def parse(cls, pairs: list[tuple[str, str]]) -> ListQuery:
        """Any name that is not a control filters on that field."""
        controls = {name: value for name, value in pairs if name in CONTROLS}
        return cls(
            filters=tuple(
                Filter.parse(name, value) for name, value in pairs if name not in CONTROLS
            ),
            sort=names(controls.get("sort", "")),
            select=names(controls.get("select", "")),
            populate=names(controls.get("populate", "")),
            limit=min(count(controls, "limit", DEFAULT_LIMIT, least=1), LARGEST_LIMIT),
            offset=count(controls, "offset", 0, least=0),
        )

    @property
    def plain(self) -> bool:
        """Nothing but a page of what is there."""
        return not (self.filters or self.sort or self.select or self.populate)

    def sorted(self, documents: list[Document]) -> list[Document]:
        """In the order asked for; what lacks the field comes first."""
        for name in reversed(self.sort):
            path = tuple(name.lstrip("-").split("."))
            documents.sort(
                key=lambda document: sort_key(document, path), reverse=name.startswith("-")
            )
        return documents

    def selected(self, document: Document) -> Document:
        """Only the fields asked for, and the id."""
        if not self.select:
            return document
        wanted = {name.split(".")[0] for name in self.select} | {"id"}
        return {name: value for name, value in document.items() if name in wanted}


def names(text: str) -> tuple[str, ...]:
    """A comma-separated list; a space after the comma is tolerated."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def count(controls: dict[str, str], name: str, default: int, least: int) -> int:
    """A whole number of the query."""
    text = controls.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16 and int(text) >= least):
        raise bad_request(f"{name} has to be a whole number of at least {least}")
    return min(int(text), LARGEST_OFFSET)


def sort_key(document: Document, path: tuple[str, ...]) -> tuple[int, float, str]:
    """Numbers before texts, so that values of different types can stand in one list."""
    for value in values_at(document, path):
        if isinstance(value, (int, float)):
            return (1, value, "")
        return (2, 0, spell(value))
    return (0, 0, "")
