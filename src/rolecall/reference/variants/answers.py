"""Variants of statuses, bodies and the order of checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, not_found
from rolecall.reference.permissions import RANK
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import RESOURCES, Change
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant


@variant("created-200")
def created_200(server: Server) -> None:
    """A create is answered 200."""
    created = server.resources.created

    @instead_of(server.resources.created)
    def ok(document: object) -> Answer:
        answer = created(document)
        answer.status = 200
        return answer


@variant("deletes-are-accepted")
def deletes_are_accepted(server: Server) -> None:
    """A delete is answered 202, as one that is carried out in the background (RFC 9110 9.3.5)."""

    @instead_of(server.resources.deleted)
    def accepted() -> Answer:
        return Answer(202)


@variant("deleted-200")
def deleted_200(server: Server) -> None:
    """A delete is answered 200 with nothing in the body."""

    @instead_of(server.resources.deleted)
    def ok() -> Answer:
        return Answer(200)


def bodies(server: Server, change: Callable[[object], object]) -> None:
    """Change every JSON body."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def changed(call: Call, answer: Answer) -> Answer:
        if answer.body and answer.media_type == "application/json":
            answer.body = dumps(change(loads(answer.body))).encode()
        return await after(call, answer)


@variant("extra-fields")
def extra_fields(server: Server) -> None:
    """Every object has additional members."""

    def more(value: object) -> object:
        if isinstance(value, list):
            return [more(item) for item in value]
        if isinstance(value, dict):
            return {"_links": {"self": "/"}, **value, "revision": 7, "note": None}
        return value

    bodies(server, more)


@variant("updates-tell-how-many")
def updates_tell_how_many(server: Server) -> None:
    """An update answers how many things it has changed, as a driver of a database does: what there
    is then, a fetch shows.
    """

    @instead_of(server.resources.updated)
    def counted(document: Document) -> Answer:
        return Answer(200, dumps({"ok": 1, "matched": 1, "modified": 1}).encode())


@variant("empty-objects-are-arrays")
def empty_objects_are_arrays(server: Server) -> None:
    """An object that is empty is written as an empty array, as PHP does that has one type for both:
    the specification names no member that is an object.
    """

    def php(value: object) -> object:
        if isinstance(value, list):
            return [php(item) for item in value]
        if isinstance(value, dict):
            return {name: [] if member == {} else member for name, member in value.items()}
        return value

    bodies(server, php)


#: How members are written of which the specification does not even say that they are there.
_OTHERWISE: dict[str, Callable[[Any], object]] = {
    **dict.fromkeys(
        ("organization", "parent", "conversation", "contact"),
        lambda id: {"id": id, "href": f"/v2/any/{id}"},
    ),
    "path": lambda ids: str(ids).split("#"),
    "expiresAt": lambda _: 1_503_620_624,
    "avatar": lambda url: {"url": url},
}


@variant("members-of-other-kinds")
def members_of_other_kinds(server: Server) -> None:
    """References and pictures are objects, what is above an organization is a list, and the end of
    a token is a number: the specification does not say how a thing refers to others, and of the
    answer with a token only what its five members are.
    """

    def otherwise(value: object) -> object:
        if isinstance(value, list):
            return [otherwise(item) for item in value]
        if isinstance(value, dict):
            return {
                name: _OTHERWISE[name](member) if name in _OTHERWISE and member else member
                for name, member in value.items()
            }
        return value

    bodies(server, otherwise)


def without(value: Any, names: Collection[str]) -> Any:
    """A document, or each of several, without the members of these names."""
    if isinstance(value, list):
        return [without(item, names) for item in value]
    if isinstance(value, dict):
        return {name: member for name, member in value.items() if name not in names}
    return value


@variant("resources-without-dates")
def resources_without_dates(server: Server) -> None:
    """Resources lack createdAt and updatedAt: the specification does not ask for them."""
    bodies(server, lambda value: without(value, ("createdAt", "updatedAt")))


@variant("other-key-order")
def other_key_order(server: Server) -> None:
    """The members of every object come in another order."""

    def turned(value: object) -> object:
        if isinstance(value, list):
            return [turned(item) for item in value]
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in sorted(value, reverse=True)}
        return value

    bodies(server, turned)


@variant("indented-bodies")
def indented_bodies(server: Server) -> None:
    """Bodies are written for people: indented, not in ASCII, the type with a charset."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def pretty(call: Call, answer: Answer) -> Answer:
        if answer.body and answer.media_type == "application/json":
            document = json.loads(answer.body)
            answer.body = (
                json.dumps(document, indent=2, ensure_ascii=False).encode("utf-8", "replace")
                + b"\n"
            )
            answer.media_type = "application/json; charset=utf-8"
        return await after(call, answer)


@variant("other-error-bodies")
def other_error_bodies(server: Server) -> None:
    """Errors are described as RFC 9457 has it; the specification does not say how."""

    @instead_of(server.refusal)
    def problem(refusal: Refusal) -> Answer:
        document = {"type": "about:blank", "title": refusal.message, "status": refusal.status}
        return Answer(
            refusal.status,
            dumps(document).encode(),
            dict(refusal.headers),
            "application/problem+json",
        )


@variant("errors-without-bodies")
def errors_without_bodies(server: Server) -> None:
    """Errors have a status and no body; the specification does not ask for one."""

    @instead_of(server.refusal)
    def wordless(refusal: Refusal) -> Answer:
        return Answer(refusal.status, b"", dict(refusal.headers))


@variant("refusals-name-the-caller")
def refusals_name_the_caller(server: Server) -> None:
    """A denial says in its message who was denied what, and shows the caller's own user, which
    everybody may fetch.
    """

    @instead_of(server.dispatcher.refuse)
    async def naming(call: Call, principal: Principal, operation: str) -> Answer:
        organization = principal.user.get("organization")
        message = f"{principal.id} of {organization} may not {operation}"
        document = {"error": {"message": message}, "user": principal.user}
        return Answer(403, dumps(document).encode())


@variant("organizations-apart")
def organizations_apart(server: Server) -> None:
    """What belongs to another organization is not there for anybody but admins: 404."""
    existing = server.resources.existing

    @instead_of(server.resources.existing)
    def of_ones_own(principal: Principal, resource: str, id: str) -> str:
        text = existing(principal, resource, id)
        belongs = loads(text.encode()).get("organization", principal.user.get("organization"))
        is_own = belongs == principal.user.get("organization")
        if not is_own and principal.user.get("role") != "admin":
            raise not_found()
        return text


@variant("looks-before-it-asks")
def looks_before_it_asks(server: Server) -> None:
    """Missing things are answered 404 before permissions are looked at; both orders are lawful."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def existing_first(call: Call, principal: Principal, operation: str) -> bool:
        if call.id is not None:
            server.resources.existing(principal, call.resource, call.id)
        return permitted(call, principal, operation)


@variant("reads-before-it-asks")
def reads_before_it_asks(server: Server) -> None:
    """A wrong body is answered 400 before the permission is looked at; both orders are lawful."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def body_first(call: Call, principal: Principal, operation: str) -> bool:
        if call.method in ("POST", "PATCH"):
            body = call.json()
            bodies = body if isinstance(body, list) and call.resource == "messages" else [body]
            for document in bodies:
                members = server.resources.members(document)
                server.resources.check_types(members)
                if call.method == "POST":
                    server.resources.check_required(RESOURCES[call.resource], members)
        return permitted(call, principal, operation)


@variant("conversations-of-participants")
def conversations_of_participants(server: Server) -> None:
    """Below bot, only its participants reach a conversation; to others it is not there."""

    @instead_of(server.resources.sees_all)
    def all_but_conversations(principal: Principal, resource: str) -> bool:
        return (
            resource != "conversations" or server.permissions.rank(principal.scopes) >= RANK["bot"]
        )

    @instead_of(server.resources.visible)
    def own(principal: Principal, resource: str, document: Document) -> bool:
        return all_but_conversations(principal, resource) or any(
            participant.get("user") == principal.id
            for participant in document.get("participants", [])
        )


@variant("participants-come-later", "trouble")
def participants_come_later(server: Server) -> None:
    """Below bot, only participants reach a conversation; the body of a create lets nobody in."""
    conversations_of_participants(server)
    new_conversation = server.resources.new_conversation

    @instead_of(server.resources.new_conversation)
    def alone(change: Change) -> Document:
        change.members.pop("participants", None)
        return new_conversation(change)


@variant("list-limit-10")
def list_limit_10(server: Server) -> None:
    """A list has ten things at most, and a Link to the next."""

    @instead_of(server.resources.page_size)
    def ten(query: ListQuery) -> int:
        return min(query.limit, 10)
