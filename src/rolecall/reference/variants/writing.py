"""Variants of how things are written: what a create answers, what an update or a delete wants."""

from __future__ import annotations

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant

MERGE_PATCH = "application/merge-patch+json"
#: What a PUT leaves as it is: who a thing is, whose, and where it belongs.
_KEPT = (
    *("id", "createdAt", "updatedAt", "organization", "parent", "conversation", "participants"),
    *("email", "role", "status", "type"),
)


@variant("created-is-at-its-location")
def created_is_at_its_location(server: Server) -> None:
    """A create is answered 201 with nothing but the address of what was made, in Location (RFC 9110
    15.3.2).
    """
    create = server.resources.create

    @instead_of(server.resources.create)
    async def addressed(call: Call, principal: Principal, resource: str) -> Answer:
        answer = await create(call, principal, resource)
        document = loads(answer.body)
        if not isinstance(document, dict):  # of several there is no one address
            return answer
        return Answer(answer.status, headers={"Location": f"/v2/{resource}/{document['id']}"})


@variant("writes-want-a-precondition")
def writes_want_a_precondition(server: Server) -> None:
    """An update or a delete that may be done is answered 428 where it has no If-Match (RFC 6585 3);
    any state of the thing will do ("*", RFC 9110 13.1.1).
    """
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def conditional(call: Call, principal: Principal, operation: str) -> bool:
        may = permitted(call, principal, operation)
        is_write = operation.partition("-")[0] in ("update", "delete")
        if may and is_write and call.header(b"if-match") is None:
            raise Refusal(428, "If-Match is missing")
        return may


@variant("updates-are-merge-patches")
def updates_are_merge_patches(server: Server) -> None:
    """A PATCH that may be done is answered 415 where it is not application/merge-patch+json, and
    told so in Accept-Patch (RFC 7396, RFC 5789 3.1): the specification names no media type.
    """
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def merging(call: Call, principal: Principal, operation: str) -> bool:
        may = permitted(call, principal, operation)
        kind = (call.header(b"content-type") or "").partition(";")[0].strip().lower()
        if may and call.method == "PATCH":
            if kind != MERGE_PATCH:
                raise Refusal(415, "Not a patch", headers={"Accept-Patch": MERGE_PATCH})
            others = [pair for pair in call.headers if pair[0] != b"content-type"]
            call.headers = [*others, (b"content-type", b"application/json")]
        return may


@variant("put-replaces")
def put_replaces(server: Server) -> None:
    """PUT of an item is an update that replaces: what it does not name is gone (RFC 9110 9.3.4)."""
    answer, merged = server.dispatcher.answer, server.resources.merged
    replacing: set[str] = set()

    @instead_of(server.dispatcher.answer)
    async def as_update(call: Call) -> Answer:
        if call.method != "PUT" or call.id is None:
            return await answer(call)
        call.method, whole = "PATCH", call.id
        replacing.add(whole)
        try:
            return await answer(call)
        finally:
            replacing.discard(whole)

    @instead_of(server.resources.merged)
    def replaced(document: Document, members: Document) -> Document:
        if document["id"] not in replacing:
            return merged(document, members)
        return {**{name: document[name] for name in _KEPT if name in document}, **members}
