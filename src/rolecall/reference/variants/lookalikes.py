"""Variants that look like the reported faults of paths, requests and caches, and are lawful."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import replace
from email.utils import formatdate, parsedate_to_datetime
from posixpath import normpath

from rolecall.reference.alterations import body_of
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request
from rolecall.reference.query import CONTROLS
from rolecall.reference.resources import (
    LISTS,
    OBJECTS,
    RESOURCES,
    TEXTS,
)
from rolecall.reference.strict_json import dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant

# --- spellings, methods and nested routes, with their guard -------------------------------------


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


@variant("steps-in-paths-taken")
def steps_in_paths_taken(server: Server) -> None:
    """Path parameters are dropped and dots resolved before the guard sees a path."""
    _read_as(server, lambda path: normpath(re.sub(";[^/]*", "", path)))


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
    """X-HTTP-Method-Override and _method change the method of a POST before the guard sees it."""
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


@variant("rare-forms-guarded")
def rare_forms_guarded(server: Server) -> None:
    """Merge patches, QUERY, several ids with commas and other names of routes are understood, each
    behind the guard of the usual form; of several users a caller gets those it may fetch.
    """
    answer = server.dispatcher.answer
    names = {"organizationGroups": "orggroups", "user": "users", "organization": "organizations"}

    @instead_of(server.dispatcher.answer)
    async def understood(call: Call) -> Answer:
        call.resource = names.get(call.resource, call.resource)
        kind = call.header(b"content-type") or ""
        if call.method == "PATCH" and kind.startswith("application/merge-patch+json"):
            call.headers = [pair for pair in call.headers if pair[0] != b"content-type"]
            call.headers.append((b"content-type", b"application/json"))
        if call.method == "QUERY":
            call.method = "GET"
        if call.verb != "GET" or call.resource != "users" or "," not in (call.id or ""):
            return await answer(call)
        shown = []
        for id in str(call.id).split(","):
            call.id = id
            with suppress(Refusal):
                shown.append((await answer(call)).body)
        return Answer(200, b"[" + b",".join(shown) + b"]")


@variant("users-me")
def users_me(server: Server) -> None:
    """The own user has a second address, /v2/users/me."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def me(call: Call) -> Answer:
        if call.resource == "users" and call.id == "me":
            call.id = server.guard.authenticate(call).id
        return await answer(call)


@variant("things-found-by-id-alone")
def things_found_by_id_alone(server: Server) -> None:
    """A fetch finds a thing by its id under the path of any kind, and is guarded as a fetch of the
    kind that it is of.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def found(call: Call) -> Answer:
        kinds = [kind for kind in RESOURCES if call.id and server.store.get(kind, call.id)]
        if call.verb == "GET" and kinds:
            call.resource = kinds[0]
        return await answer(call)


@variant("searches-find-oneself")
def searches_find_oneself(server: Server) -> None:
    """Beside the list of users is a search for everybody, which shows to each the own user alone.

    "Fetch user details (self)" is a right of every role.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def found(call: Call) -> Answer:
        if call.resource == "users" and call.id == "search":
            return Answer.of(200, [server.guard.authenticate(call).user])
        return await answer(call)


# --- requests that are dressed otherwise -------------------------------------------------------


def refused_first(server: Server, look: Callable[[Call], None]) -> None:
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

    refused_first(server, look)


@variant("requests-of-other-times-refused")
def requests_of_other_times_refused(server: Server) -> None:
    """A request that asks for another protocol, or whose Date is not of today, is answered 400."""

    def look(call: Call) -> None:
        sent = parsedate_to_datetime(call.header(b"date") or formatdate(usegmt=True)).timestamp()
        if call.header(b"upgrade") is not None or abs(time.time() - sent) > 86_400:
            raise bad_request("This is another protocol, or another time")

    refused_first(server, look)


@variant("nothing-but-json-is-taken")
def nothing_but_json_is_taken(server: Server) -> None:
    """A body whose type is not application/json to the letter is answered 415; so is a charset,
    which JSON does not have.
    """

    def look(call: Call) -> None:
        if call.method in ("POST", "PATCH") and call.header(b"content-type") != "application/json":
            raise Refusal(415, "The type of a body is application/json")

    refused_first(server, look)


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

    refused_first(server, look)


@variant("bodies-where-none-belongs-refused")
def bodies_where_none_belongs_refused(server: Server) -> None:
    """A read or a delete with a body is answered 400, and so is a write without."""

    def look(call: Call) -> None:
        if bool(call.body) != (call.method in ("POST", "PATCH", "PUT")):
            raise bad_request("A body where none belongs, or none where one does")

    refused_first(server, look)


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


# --- caches that know who is calling -----------------------------------------------------------


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
