"""What faults of several parts need."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Call
from rolecall.reference.jsontext import Document, NotJson, loads
from rolecall.reference.resources import RESOURCES, Change
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

Exemption = Callable[[Call, Principal, str], bool]
"""Whether a caller may do an operation, whatever the permission table says."""


def make_exception(server: Server, applies: Exemption) -> None:
    """Let callers past the permission table where an exception applies."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def excepted(call: Call, principal: Principal, operation: str) -> bool:
        return permitted(call, principal, operation) or applies(call, principal, operation)


def asked_for(server: Server, call: Call) -> Document:
    """The document that a request is about, or an empty one."""
    if call.id is None or call.resource not in RESOURCES:
        return {}
    return server.resources.stored(call.resource, call.id)


def takes_part(principal: Principal, conversation: Document) -> bool:
    """Whether the caller is a participant."""
    return any(participant.get("user") == principal.id for participant in conversation.get("participants", []))


def body_of(call: Call) -> Document:
    """The body if it is an object, or an empty one; whatever its type is said to be."""
    try:
        body = loads(call.body)
    except NotJson:
        return {}
    return body if isinstance(body, dict) else {}


def parameter(call: Call, name: str) -> str | None:
    """The last parameter of this name in the query."""
    return dict(call.query).get(name)


def note_makers(server: Server) -> dict[str, str]:
    """Who made what from now on: ids of things to ids of users."""
    makers: dict[str, str] = {}
    new_document = server.resources.new_document

    @instead_of(server.resources.new_document)
    def noted(change: Change, **extra: object) -> Document:
        document = new_document(change, **extra)
        makers[document["id"]] = change.principal.id
        return document

    return makers
