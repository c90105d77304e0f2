"""Variants that look like the faults modelled on public reports, and break nothing: each has a
guard where the fault has none.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import Any

from rolecall.reference.alterations import body_of, note_makers
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request, forbidden
from rolecall.reference.query import CONTROLS
from rolecall.reference.resources import (
    LISTS,
    OBJECTS,
    OWN_PROFILE,
    RESOURCES,
    TEXTS,
    Change,
    new_id,
)
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant

# --- spellings, methods and nested routes, with their guard --------------------------------------


def _read_as(server: Server, plain: Callable[[str], str]) -> None:
    """Take a path for another one before anything else looks at it, the guard included."""
    unknown, answer = server.dispatcher.unknown, server.dispatcher.answer

    def read(call: Call) -> bool:
        path = plain(call.path)
        found = re.fullmatch(r"/v2/([a-z]+)(?:/([^/]+))?", path)
        if path == call.path or found is None or found[1] not in RESOURCES:
            return False
        call.resource, call.id = found[1], found[2]
        return True

    @instead_of(server.dispatcher.answer)
    async def answer_to_either(call: Call) -> Answer:
        read(call)
        return await answer(call)

    @instead_of(server.dispatcher.unknown)
    async def known_after_all(call: Call) -> Answer:
        return await answer(call) if read(call) else await unknown(call)


@variant("paths-in-any-letters")
def paths_in_any_letters(server: Server) -> None:
    """The names in a path may be in any letters, for the router and for the guard."""

    def lowered(path: str) -> str:
        parts = path.split("/")
        return "/".join([part.lower() if place < 3 else part for place, part in enumerate(parts)])

    _read_as(server, lowered)


@variant("paths-tidied")
def paths_tidied(server: Server) -> None:
    """Slashes that are doubled or at the end, line breaks and spaces around parts are taken out of
    a path before the guard sees it.
    """
    _read_as(server, lambda path: re.sub(r"//+", "/", re.sub(r"\s", "", path)).rstrip("/"))


@variant("put-and-post-update")
def put_and_post_update(server: Server) -> None:
    """PUT and POST to an item are updates, and are guarded as updates."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def as_patch(call: Call) -> Answer:
        if call.method in ("PUT", "POST") and call.id is not None:
            call.method = "PATCH"
        return await answer(call)


@variant("method-override-guarded")
def method_override_guarded(server: Server) -> None:
    """X-HTTP-Method-Override and _method change the method of a POST before the guard looks at it."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def overridden(call: Call) -> Answer | None:
        if call.method == "POST" and call.resource in RESOURCES:
            wanted = (
                call.header(b"x-http-method-override")
                or dict(call.query).get("_method")
                or body_of(call).get("_method")
            )
            if wanted in ("GET", "PATCH", "DELETE"):
                call.method = wanted
                if "_method" in body_of(call):
                    call.body = dumps(
                        {name: value for name, value in body_of(call).items() if name != "_method"}
                    ).encode()
        return await before(call)


@variant("nested-routes-guarded")
def nested_routes_guarded(server: Server) -> None:
    """Messages have an address under their conversation, and lists one under their organization,
    with the guard of the plain ones.
    """
    posted, unknown = server.dispatcher.conversation_messages, server.dispatcher.unknown

    @instead_of(server.dispatcher.conversation_messages)
    async def messages(call: Call) -> Answer:
        if call.verb != "GET" or call.id is None:
            return await posted(call)
        call.query = [("conversation", call.id), *call.query]
        call.resource, call.id = "messages", None
        return await server.dispatcher.answer(call)

    @instead_of(server.dispatcher.unknown)
    async def nested(call: Call) -> Answer:
        message = re.fullmatch(r"/v2/conversations/[^/]+/messages/([^/]+)", call.path)
        member = re.fullmatch(
            r"/v2/organizations/([^/]+)/(users|orggroups|contacts|forms|services|kbitems)",
            call.path,
        )
        if message:
            call.resource, call.id = "messages", message[1]
            return await server.dispatcher.answer(call)
        if member and call.verb == "GET":
            call.resource, call.query = member[2], [("organization", member[1]), *call.query]
            return await server.dispatcher.answer(call)
        return await unknown(call)


@variant("users-me")
def users_me(server: Server) -> None:
    """The own user has a second address, /v2/users/me."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def me(call: Call) -> Answer:
        if call.resource == "users" and call.id == "me":
            call.id = server.guard.authenticate(call).id
        return await answer(call)


# --- requests that are dressed otherwise --------------------------------------------------------


def _refused_first(server: Server, look: Callable[[Call], None]) -> None:
    """Look at the form of a request on a resource before anybody asks who may; the order is nowhere
    said.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def formal(call: Call) -> Answer:
        server.guard.authenticate(call)
        if call.resource in RESOURCES:
            look(call)
        return await answer(call)


@variant("nothing-but-json-is-given")
def nothing_but_json_is_given(server: Server) -> None:
    """A client that does not accept JSON is answered 406."""

    def look(call: Call) -> None:
        wanted = call.header(b"accept") or "*/*"
        if not any(kind in wanted for kind in ("json", "*/*", "application/*")):
            raise Refusal(406, "This server speaks JSON")

    _refused_first(server, look)


@variant("nothing-but-json-is-taken")
def nothing_but_json_is_taken(server: Server) -> None:
    """A body whose type is not application/json to the letter is answered 415; so is a charset,
    which JSON does not have.
    """

    def look(call: Call) -> None:
        if call.method in ("POST", "PATCH") and call.header(b"content-type") != "application/json":
            raise Refusal(415, "The type of a body is application/json")

    _refused_first(server, look)


@variant("strange-parameters-refused")
def strange_parameters_refused(server: Server) -> None:
    """A parameter of the query that is neither a control nor a filter on a known member is answered
    400.
    """
    known = (
        CONTROLS
        | TEXTS
        | OBJECTS
        | LISTS
        | {"id", "_id", "role", "type", "user", "parent", "createdAt", "updatedAt"}
    )

    def look(call: Call) -> None:
        strange = [name for name, _ in call.query if name.split(".")[0] not in known]
        if strange:
            raise bad_request(f"Not known: {', '.join(strange)}"[:200])

    _refused_first(server, look)


@variant("bodies-where-none-belongs-refused")
def bodies_where_none_belongs_refused(server: Server) -> None:
    """A read or a delete with a body is answered 400, and so is a write without."""

    def look(call: Call) -> None:
        if bool(call.body) != (call.method in ("POST", "PATCH", "PUT")):
            raise bad_request("A body where none belongs, or none where one does")

    _refused_first(server, look)


@variant("creates-in-bulk-guarded")
def creates_in_bulk_guarded(server: Server) -> None:
    """Things of every kind may be created as an array, by those who may create one."""
    create = server.resources.create

    @instead_of(server.resources.create)
    async def in_bulk(call: Call, principal: Principal, resource: str) -> Answer:
        body = call.json()
        if not isinstance(body, list) or resource == "messages" or not 0 < len(body) <= 100:
            return await create(call, principal, resource)
        made = []
        for member in body:
            call.body = dumps(member).encode()
            made.append(loads((await create(call, principal, resource)).body))
        return server.resources.created(made)


# --- caches that know who is calling ------------------------------------------------------------


@variant("cache-keyed-by-token")
def cache_keyed_by_token(server: Server) -> None:
    """Reads are kept for five seconds, for the same token and URL, and until anything changes."""
    kept: dict[Hashable, tuple[float, Answer]] = {}
    answer = server.dispatcher.answer
    _at_every_change(server, kept.clear)

    @instead_of(server.dispatcher.answer)
    async def cached(call: Call) -> Answer:
        if call.method != "GET":
            return await answer(call)
        server.guard.authenticate(call)
        key = (
            call.path,
            call.scope["query_string"],
            call.header(b"authorization"),
            call.header(b"host"),
        )
        moment, given = kept.get(key, (0.0, None))
        if given is None or time.monotonic() - moment > 5:
            given = await answer(call)
            kept[key] = (time.monotonic(), replace(given, headers=dict(given.headers)))
        return replace(given, headers=dict(given.headers))


def _at_every_change(server: Server, do: Callable[[], None]) -> None:
    """Do something whenever a document is added, replaced or removed."""
    add, change, remove = server.store.add, server.store.replace, server.store.remove

    @instead_of(server.store.add)
    def added(resource: str, id: str, body: str) -> None:
        do()
        add(resource, id, body)

    @instead_of(server.store.replace)
    def replaced(resource: str, id: str, body: str) -> None:
        do()
        change(resource, id, body)

    @instead_of(server.store.remove)
    def removed(resource: str, id: str) -> None:
        do()
        remove(resource, id)


@variant("decisions-cached-by-scopes")
def decisions_cached_by_scopes(server: Server) -> None:
    """What scopes are allowed is kept for ever, by the scopes, the kind of credential and the
    operation.
    """
    kept: dict[tuple[frozenset[str], str, str], bool] = {}
    allows = server.permissions.allows

    @instead_of(server.permissions.allows)
    def remembered(scopes: frozenset[str], operation: str, credential: str) -> bool:
        key = (scopes, operation, credential)
        if key not in kept:
            kept[key] = allows(scopes, operation, credential)
        return kept[key]


@variant("etags")
def etags(server: Server) -> None:
    """Reads have an ETag; who may read, and has it, is answered 304."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def conditional(call: Call) -> Answer:
        given = await answer(call)
        if call.verb == "GET" and given.status == 200:
            tag = f'"{hashlib.sha256(given.body).hexdigest()[:16]}"'
            wanted = call.header(b"if-none-match") or ""
            if wanted == "*" or tag in wanted:
                return Answer(304, headers={"ETag": tag})
            given.headers |= {"ETag": tag, "Cache-Control": "private, no-cache"}
        return given


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
    """Whoever made a thing may do everything with it, if it is an admin who made it and comes as
    one.
    """
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

    _refused_first(server, look)


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


# --- what is stored -----------------------------------------------------------------------------


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


@variant("ids-of-the-client")
def ids_of_the_client(server: Server) -> None:
    """A create may bring an id of its own; one that is taken is answered 409."""
    create, made_up = server.resources.create, server.resources.new_id
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
    def own_or_made_up(resource: str) -> str:
        return wanted.pop() if wanted else made_up(resource)


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
