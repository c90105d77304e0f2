"""Faults of what is allowed: it does not happen, or not as it should."""

from __future__ import annotations

from rolecall.reference.alterations import note_makers
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import TEXTS, Change
from rolecall.reference.strict_json import dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("update-does-nothing", finding="PERM-update-organization")
def update_does_nothing(server: Server) -> None:
    """An update is answered 200 with the new document, and nothing is kept."""

    @instead_of(server.resources.update)
    async def pretended(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        document = loads(server.resources.existing(principal, resource, id).encode())
        members = server.resources.members(call.json())
        return server.resources.updated(server.resources.merged(document, members))


@fault("update-answers-old", finding="PERM-update-organization")
def update_answers_old(server: Server) -> None:
    """An update is answered 200 with the document as it was, and nothing is kept."""

    @instead_of(server.resources.update)
    async def pretended(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        return Answer(200, server.resources.existing(principal, resource, id).encode())


@fault("delete-does-nothing", finding="PERM-delete-organization")
def delete_does_nothing(server: Server) -> None:
    """A delete is answered 204, and the thing stays."""

    @instead_of(server.resources.delete)
    def pretended(principal: Principal, resource: str, id: str) -> Answer:
        server.resources.existing(principal, resource, id)
        return server.resources.deleted()


@fault("create-does-nothing-below-admin", finding="PERM-create-conversation")
def create_does_nothing_below_admin(server: Server) -> None:
    """A create by anyone but an admin is answered 201, and nothing is kept."""
    create = server.resources.create
    remove = server.store.remove

    @instead_of(server.resources.create)
    async def pretended(call: Call, principal: Principal, resource: str) -> Answer:
        answer = await create(call, principal, resource)
        made = loads(answer.body)
        if "admin" not in principal.scopes and isinstance(made, dict):
            remove(resource, made["id"])
        return answer


@fault("created-202", finding="PERM-create-organization")
def created_202(server: Server) -> None:
    """A create is done at once, and answered 202."""
    created = server.resources.created

    @instead_of(server.resources.created)
    def accepted(document: object) -> Answer:
        answer = created(document)
        answer.status = 202
        return answer


@fault("invalid-create-applies", finding="SEC-A13")
def invalid_create_applies(server: Server) -> None:
    """A create that lacks something is answered 400, and done as far as it goes."""
    create = server.resources.create

    @instead_of(server.resources.create)
    async def hasty(call: Call, principal: Principal, resource: str) -> Answer:
        try:
            return await create(call, principal, resource)
        except Refusal as refusal:
            body = call.json() if refusal.status == 400 else None
            if isinstance(body, dict):
                server.resources.new_document(
                    Change(principal, resource, server.resources.members(body))
                )
            raise


@fault("invalid-update-applies", finding="SEC-A13")
def invalid_update_applies(server: Server) -> None:
    """An update with a member of the wrong type is answered 400, and other members are changed."""
    update = server.resources.update

    @instead_of(server.resources.update)
    async def hasty(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        try:
            return await update(call, principal, resource, id)
        except Refusal as refusal:
            body = call.json() if refusal.status == 400 else None
            if isinstance(body, dict):
                members = {
                    name: value
                    for name, value in body.items()
                    if name in TEXTS and isinstance(value, str)
                }
                document = server.resources.merged(server.resources.stored(resource, id), members)
                server.store.replace(resource, id, dumps(document))
            raise


@fault("list-leaves-out-newest", finding="PERM-list-organizations")
def list_leaves_out_newest(server: Server) -> None:
    """A list lacks what was made last."""
    found = server.resources.found

    @instead_of(server.resources.found)
    def without_newest(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        newest = server.store.newest(resource)
        return [text for text in found(query, principal, resource) if text != newest]


@fault("list-leaves-out-others", finding="PERM-list-conversations")
def list_leaves_out_others(server: Server) -> None:
    """An agent's list is empty of everything that the agent did not make."""
    found = server.resources.found
    makers = note_makers(server)

    @instead_of(server.resources.found)
    def own(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        texts = found(query, principal, resource)
        if server.permissions.rank(principal.scopes) != RANK["agent"]:
            return texts
        return [text for text in texts if makers.get(loads(text.encode())["id"]) == principal.id]


@fault("list-is-empty", finding="PERM-list-organizations")
def list_is_empty(server: Server) -> None:
    """Every list is answered 200 with nothing in it."""

    @instead_of(server.resources.found)
    def nothing(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        return []


@fault("fetch-answers-another", finding="PERM-fetch-organization")
def fetch_answers_another(server: Server) -> None:
    """Fetching an organization answers with the first one there is, whatever the id."""
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def first(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        if resource == "organizations":
            return Answer(200, server.store.page(resource, 1, 0)[0].encode())
        return fetch(call, principal, resource, id)
