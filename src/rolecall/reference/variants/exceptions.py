"""Variants that seem to make exceptions and are lawful: caches, spellings, routes and owners behind
the guard.
"""

from __future__ import annotations

import hashlib
import re

from rolecall.reference.alterations import asked_for, before_refusing, change_stored
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request
from rolecall.reference.resources import RESOURCES, Change
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant


@variant("answers-cached-by-token")
def answers_cached_by_token(server: Server) -> None:
    """Answers to reads are kept by URL and token, behind the guard, until something is written."""
    kept: dict[tuple[str, bytes, str], Answer] = {}
    perform = server.dispatcher.perform

    @instead_of(server.dispatcher.perform)
    async def cached(call: Call, principal: Principal, operation: str) -> Answer:
        if call.verb != "GET":
            answer = await perform(call, principal, operation)
            kept.clear()
            return answer
        key = (call.path, call.scope["query_string"], call.header(b"authorization") or "")
        if key not in kept:
            kept[key] = await perform(call, principal, operation)
        return kept[key]


@variant("conditional-requests")
def conditional_requests(server: Server) -> None:
    """What may be seen has an ETag, and who says it is known gets 304; who may not see it is
    refused before.
    """
    perform = server.dispatcher.perform

    @instead_of(server.dispatcher.perform)
    async def tagged(call: Call, principal: Principal, operation: str) -> Answer:
        answer = await perform(call, principal, operation)
        if call.verb != "GET":
            return answer
        tag = f'"{hashlib.sha256(answer.body).hexdigest()[:16]}"'
        answer.headers["ETag"] = tag
        return (
            Answer(304, headers={"ETag": tag})
            if call.header(b"if-none-match") in ("*", tag)
            else answer
        )


def _plainly(server: Server, plain: str, flags: re.RegexFlag = re.NOFLAG) -> None:
    """Serve paths of another spelling, past the guard as any other."""
    unknown, answer = server.dispatcher.unknown, server.dispatcher.answer

    @instead_of(server.dispatcher.unknown)
    async def unknown_but_for_spelling(call: Call) -> Answer:
        found = re.fullmatch(plain, call.path, flags)
        if found is None or found[1].lower() not in RESOURCES:
            return await unknown(call)
        call.resource, call.id = found[1].lower(), found[2]
        return await answer(call)

    @instead_of(server.dispatcher.answer)
    async def answer_but_for_spelling(call: Call) -> Answer:
        call.resource = call.resource.lower() if flags else call.resource
        return await answer(call)


@variant("paths-in-any-case")
def paths_in_any_case(server: Server) -> None:
    """Router and guard take a path in any letter case."""
    _plainly(server, r"/v2/([a-z]+)(?:/([0-9a-f]{24}))?", re.IGNORECASE)


@variant("slashes-at-will")
def slashes_at_will(server: Server) -> None:
    """A slash at the end of a path, or a doubled one, makes no difference to the router nor to the
    guard.
    """
    _plainly(server, r"/+v2/+([a-z]+)(?:/+([0-9a-f]{24}))?/*")


@variant("override-before-guard")
def override_before_guard(server: Server) -> None:
    """X-HTTP-Method-Override on a POST is honoured before the permissions are looked at, which are
    those of the method meant.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def overridden(call: Call) -> Answer:
        method = (call.header(b"x-http-method-override") or "").upper()
        if call.method == "POST" and call.id is not None and method in ("PATCH", "DELETE"):
            call.method = method
        return await answer(call)


@variant("given-ids-refused")
def given_ids_refused(server: Server) -> None:
    """A create that brings an id is refused: 409 where there is such a thing, else 400."""
    create = server.resources.create

    @instead_of(server.resources.create)
    async def without_id(call: Call, principal: Principal, resource: str) -> Answer:
        body = call.json()
        given = (body.get("id") or body.get("_id")) if isinstance(body, dict) else None
        if isinstance(given, str) and server.store.get(resource, given):
            raise Refusal(409, "There is such a thing")
        if given is not None:
            raise bad_request("An id is given by the server")
        return await create(call, principal, resource)


@variant("makers-are-kept")
def makers_are_kept(server: Server) -> None:
    """Things say who made them, and makers who are admins may do as admins may."""
    new_document = server.resources.new_document

    @instead_of(server.resources.new_document)
    def made_by(change: Change, **extra: object) -> Document:
        return new_document(
            change, **{**extra, "createdBy": change.principal.id, "owner": change.principal.id}
        )


@variant("looks-counted")
def looks_counted(server: Server) -> None:
    """Things other than users and organizations count how often they were fetched, and when they
    were last seen, and show it.
    """
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def counted(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        if resource in ("users", "organizations"):
            return fetch(call, principal, resource, id)
        document = loads(server.resources.existing(principal, resource, id).encode())
        document |= {"views": document.get("views", 0) + 1, "lastSeenAt": server.clock.instant()}
        server.store.replace(resource, id, dumps(document))
        return fetch(call, principal, resource, id)


@variant("attempts-logged")
def attempts_logged(server: Server) -> None:
    """A refused write moves the time at which a thing was last accessed, and nothing else."""

    def log(call: Call, principal: Principal, operation: str) -> None:
        document = asked_for(server, call)
        if document and call.verb != "GET":
            change_stored(
                server, call.resource, document["id"], lastAccessedAt=server.clock.instant()
            )

    before_refusing(server, log)


@variant("tags-in-lower-case")
def tags_in_lower_case(server: Server) -> None:
    """Tags are stored in lower case, once each."""
    merged, new_document = server.resources.merged, server.resources.new_document

    def normalised(members: Document) -> Document:
        tags = members.get("tags")
        return (
            members | {"tags": sorted({str(tag).lower() for tag in tags})}
            if isinstance(tags, list)
            else members
        )

    @instead_of(server.resources.merged)
    def updated(document: Document, members: Document) -> Document:
        return merged(document, normalised(members))

    @instead_of(server.resources.new_document)
    def made(change: Change, **extra: object) -> Document:
        return new_document(
            Change(change.principal, change.resource, normalised(change.members)), **extra
        )


@variant("no-such-addresses")
def no_such_addresses(server: Server) -> None:
    """Addresses with a plus, or of a subdomain, are refused."""
    checked_email = server.resources.checked_email

    @instead_of(server.resources.checked_email)
    def plain(email: object) -> str:
        address = checked_email(email)
        if "+" in address or "@mail." in address:
            raise bad_request("email has to be a plain address")
        return address
