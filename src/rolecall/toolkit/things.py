"""Things on the target that tests act upon, and the requests about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rolecall.evidence import Exchange
from rolecall.http.gate import Thing
from rolecall.outcomes import Inconclusive
from rolecall.spec.ids import id_text, is_of_id, own_id, walked
from rolecall.spec.model import Operation, Resource, Specification
from rolecall.spec.templates import in_address


@dataclass(frozen=True)
class Fixture:
    """One thing on the target; ``name`` is unique to this run, empty for things from before."""

    resource: Resource
    id: str
    name: str
    made_by: Exchange | None = field(default=None, repr=False)
    conversation: str = ""

    def __str__(self) -> str:
        return f"{self.resource.name} {self.id}"


@dataclass(frozen=True)
class Request:
    """A request of an operation, ready to be sent by any caller.

    ``name`` is what it writes; ``thing`` what an update or a delete is about; ``inside`` what a
    create is made a part of.
    """

    operation: Operation
    path: str
    body: Any = None
    name: str = ""
    fixture: Fixture | None = None
    thing: Thing | None = None
    inside: Thing | None = None

    def renamed(self, name: str) -> Request:
        """The same request with another mark, in its addresses as well."""
        body = _replaced(self.body, self.name, name)
        if self.name:
            body = _replaced(body, in_address(self.name), in_address(name))
        return replace(self, body=body, name=name)


def _replaced(body: Any, old: str, new: str) -> Any:
    if isinstance(body, Mapping):
        return {key: _replaced(value, old, new) for key, value in body.items()}
    if isinstance(body, list):
        return [_replaced(value, old, new) for value in body]
    return body.replace(old, new) if isinstance(body, str) and old else body


def items(exchange: Exchange) -> list[dict[str, Any]]:
    """The objects of a list answer; empty when the answer is not a list."""
    return [item for item in exchange.listed or () if isinstance(item, dict)]


def shows_id(exchange: Exchange, id: str) -> bool:
    """Whether a good answer is about the thing with this id.

    Raises:
        Inconclusive: it says that id, but not as that of the thing: how its members are called, or
            wrapped, is not known.
    """
    document = exchange.document
    if is_of_id(document, id):
        return True
    if not own_id(document) and any(id_text(value) == id for value in walked(exchange.json)):
        raise Inconclusive(
            f"the member in which {exchange} says the id of what it shows", "that answer"
        )
    return False


def absent(
    spec: Specification, resource: str, document: Mapping[str, Any], users: Iterable[str]
) -> list[str]:
    """Those of some users who are not among the participants that a document shows; none where it
    shows no participants.
    """
    body = spec.operations[f"create-{resource}"].body or {}
    member = next((name for name in body if body[name] == "{participants}"), "")
    shown = str(document.get(member, ""))
    return [user for user in users if shown and user not in shown]
