"""Variants that look like the reported faults of owners, ids and storing, and are lawful."""

from __future__ import annotations

import itertools
import re
import secrets
import time
from typing import Any

from rolecall.reference.alterations import body_of, change_stored, note_makers
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request, forbidden
from rolecall.reference.resources import (
    OWN_PROFILE,
    RESOURCES,
    Change,
    new_id,
)
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.lookalikes import refused_first
from rolecall.reference.variants.registry import variant

# --- owners, oneself, ids -----------------------------------------------------------------------


@variant("makers-shown")
def makers_shown(server: Server) -> None:
    """Things say who made them, in createdBy; what one may do does not depend on it."""
    new_document = server.resources.new_document

    @instead_of(server.resources.new_document)
    def signed(change: Change, **extra: Any) -> Document:
        return new_document(change, **extra, createdBy=change.principal.id)


@variant("owners-who-are-admins")
def owners_who_are_admins(server: Server) -> None:
    """The maker of a thing may do everything with it, if it is an admin then and now."""
    makers, permitted = note_makers(server), server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def owned(call: Call, principal: Principal, operation: str) -> bool:
        own = call.id is not None and makers.get(call.id) == principal.id
        return (own and "admin" in principal.scopes) or permitted(call, principal, operation)


@variant("ids-in-bodies-must-agree")
def ids_in_bodies_must_agree(server: Server) -> None:
    """An update whose body has another id than the path is answered 400."""

    def look(call: Call) -> None:
        named = [body_of(call)[name] for name in ("id", "_id") if name in body_of(call)]
        if call.method == "PATCH" and any(id != call.id for id in named):
            raise bad_request("The body is about another thing than the path")

    refused_first(server, look)


@variant("own-role-refused")
def own_role_refused(server: Server) -> None:
    """An update of one's own user with anything but the profile in it is answered 422 below admin,
    and not done at all.
    """
    profile_members = server.resources.profile_members

    @instead_of(server.resources.profile_members)
    def only_profile(members: Document, principal: Principal) -> Document:
        allowed = profile_members(members, principal)
        strange = [name for name in members if name not in allowed and name not in OWN_PROFILE]
        if strange:
            raise Refusal(422, f"Not yours to change: {', '.join(strange)}"[:200])
        return allowed


@variant("ids-with-time")
def ids_with_time(server: Server) -> None:
    """Ids begin with the second in which they were made, and end with a counter."""
    counter, process = itertools.count(secrets.randbelow(2**16)), secrets.token_hex(5)

    @instead_of(server.resources.new_id)
    def with_time(resource: str) -> str:
        return f"{int(time.time()):08x}{process}{next(counter) % 2**24:06x}"


@variant("neighbouring-ids")
def neighbouring_ids(server: Server) -> None:
    """Users have ids beyond 2**53, in strings, that count up; they are compared as the texts that
    they are.
    """
    numbers, is_id = itertools.count(2**56), server.resources.is_id

    @instead_of(server.resources.new_id)
    def counted(resource: str) -> str:
        return str(next(numbers)) if resource == "users" else new_id()

    @instead_of(server.resources.is_id)
    def also_a_number(text: str) -> bool:
        return is_id(text) or re.fullmatch(r"[1-9][0-9]{16}", text) is not None

    @instead_of(server.refresh.well_formed)
    def behind_either(token: str) -> bool:
        return re.fullmatch(r"([0-9a-f]{24}|[1-9][0-9]{16})\.[0-9a-f]{80}", token) is not None


@variant("users-have-last-seen")
def users_have_last_seen(server: Server) -> None:
    """A user says when it was last seen, at every request, whatever becomes of it: in lastSeenAt,
    those made first in updatedAt.
    """
    answer, first = (
        server.dispatcher.answer,
        {credentials.id for credentials in server.accounts.values()},
    )

    @instead_of(server.dispatcher.answer)
    async def seen(call: Call) -> Answer:
        user = server.resources.stored("users", server.guard.authenticate(call).id)
        member = "updatedAt" if user["id"] in first else "lastSeenAt"
        server.store.replace("users", user["id"], dumps({**user, member: server.clock.instant()}))
        return await answer(call)


# --- what is stored ----------------------------------------------------------------------------


@variant("soft-deletes")
def soft_deletes(server: Server) -> None:
    """What was deleted is kept aside, out of every list, and a fetch of it is answered 410."""
    gone: set[tuple[str, str]] = set()
    remove, existing = server.store.remove, server.resources.existing

    @instead_of(server.store.remove)
    def aside(resource: str, id: str) -> None:
        gone.add((resource, id))
        remove(resource, id)

    @instead_of(server.resources.existing)
    def once_there(principal: Principal, resource: str, id: str) -> str:
        if (resource, id) in gone:
            raise Refusal(410, "Deleted")
        return existing(principal, resource, id)


@variant("deletes-archive")
def deletes_archive(server: Server) -> None:
    """What was deleted, users aside, is kept and shown as such: its status is archived, and
    archivedAt says since when.
    """
    remove = server.store.remove

    @instead_of(server.store.remove)
    def archived(resource: str, id: str) -> None:
        kept = server.store.get(resource, id)
        if resource == "users" or kept is None:
            remove(resource, id)
        else:
            marks = {"status": "archived", "archivedAt": "2026-11-28T10:00:00Z"}
            server.store.replace(resource, id, dumps(loads(kept.encode()) | marks))


@variant("deleted-users-are-deactivated")
def deleted_users_are_deactivated(server: Server) -> None:
    """A user who was deleted is shown as deactivated, without the address, since others refer to
    it; no credential of it is good, and the address may be given again.
    """
    remove, subject = server.store.remove, server.verifier.subject

    @instead_of(server.store.remove)
    def deactivated(resource: str, id: str) -> None:
        kept = server.store.get(resource, id)
        remove(resource, id)
        if resource == "users" and kept is not None:
            marks = {"status": "deactivated", "email": f"{id}@deactivated.invalid"}
            server.store.add(resource, id, dumps(loads(kept.encode()) | marks))

    @instead_of(server.verifier.subject)
    def active(claims: Document) -> Document:
        user = subject(claims)
        if user.get("status") == "deactivated":
            raise server.verifier.invalid()
        return user


@variant("ids-of-the-client")
def ids_of_the_client(server: Server) -> None:
    """A create may bring an id of its own; one that is taken is answered 409."""
    create, invented = server.resources.create, server.resources.new_id
    wanted: list[str] = []

    @instead_of(server.resources.create)
    async def with_id(call: Call, principal: Principal, resource: str) -> Answer:
        id = body_of(call).get("id")
        if not isinstance(id, str) or not server.resources.is_id(id):
            return await create(call, principal, resource)
        if server.store.get(resource, id) is not None:
            raise Refusal(409, "There is one with this id")
        wanted.append(id)
        try:
            return await create(call, principal, resource)
        finally:
            wanted.clear()

    @instead_of(server.resources.new_id)
    def own_or_invented(resource: str) -> str:
        return wanted.pop() if wanted else invented(resource)


@variant("organizations-inside-creates-guarded")
def organizations_inside_creates_guarded(server: Server) -> None:
    """An object where a new thing names its organization is made on the way, by who may create
    organizations; others get 403.
    """
    create = server.resources.create

    @instead_of(server.resources.create)
    async def nested(call: Call, principal: Principal, resource: str) -> Answer:
        inside = body_of(call).get("organization")
        if resource != "organizations" and isinstance(inside, dict):
            if not server.guard.may(principal, "create-organization"):
                raise forbidden()
            made = server.resources.new_document(
                Change(principal, "organizations", server.resources.members(inside))
            )
            call.body = dumps({**body_of(call), "organization": made["id"]}).encode()
        return await create(call, principal, resource)


@variant("objects-merged-deeply")
def objects_merged_deeply(server: Server) -> None:
    """An update merges objects with those that are there, member by member."""

    def deep(old: Document, new: Document) -> Document:
        return {
            **old,
            **{
                name: deep(old[name], value)
                if isinstance(value, dict) and isinstance(old.get(name), dict)
                else value
                for name, value in new.items()
            },
        }

    @instead_of(server.resources.merged)
    def merged(document: Document, members: Document) -> Document:
        return deep(document, members)


@variant("empty-values-remove")
def empty_values_remove(server: Server) -> None:
    """An update to null or to an empty text takes the member away, and the answer lacks it as well;
    a required one is answered 400.
    """
    update = server.resources.update

    @instead_of(server.resources.update)
    async def removing(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        body = body_of(call)
        empty = [
            name
            for name, value in body.items()
            if value in (None, "") and name not in ("role", "password", "email")
        ]
        if any(name in RESOURCES[resource].required for name in empty):
            raise bad_request("A required member cannot be taken away")
        if empty:
            call.body = dumps(
                {name: value for name, value in body.items() if name not in empty}
            ).encode()
        answer = await update(call, principal, resource, id)
        if not empty:
            return answer
        document = {
            name: value
            for name, value in server.resources.stored(resource, id).items()
            if name not in empty
        }
        server.store.replace(resource, id, dumps(document))
        return server.resources.updated(document)


@variant("conversations-count-their-messages")
def conversations_count_their_messages(server: Server) -> None:
    """A conversation says how many messages were posted in it, and when the last one was."""
    new_message = server.resources.new_message

    @instead_of(server.resources.new_message)
    def counted(principal: Principal, members: Document) -> Document:
        document = new_message(principal, members)
        conversation = server.resources.stored("conversations", document["conversation"])
        conversation["messageCount"] = conversation.get("messageCount", 0) + 1
        conversation["lastMessageAt"] = document["createdAt"]
        server.store.replace("conversations", conversation["id"], dumps(conversation))
        return document


@variant("roles-of-participants-are-as-sent")
def roles_of_participants_are_as_sent(server: Server) -> None:
    """In a conversation everybody, its maker too, has the role that the body says: one that the
    page does not know, and by which a user may do no more.
    """
    new_conversation = server.resources.new_conversation

    @instead_of(server.resources.new_conversation)
    def as_sent(change: Change) -> Document:
        parts = list(change.members.get("participants", []))
        document = new_conversation(change)
        sent = {part["user"]: part.get("role") for part in parts}
        participants = [
            {**part, "role": sent.get(part["user"]) or part.get("role", "agent")}
            for part in document["participants"]
        ]
        return change_stored(server, "conversations", document["id"], participants=participants)
