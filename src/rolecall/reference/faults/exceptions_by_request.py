"""Faults that permit a denied request in another form, or after a caller who may."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import parse_qs

from rolecall.reference.alterations import (
    body_of,
    perform_unguarded,
    route_past_the_guard,
)
from rolecall.reference.app import Server
from rolecall.reference.cache import Cache
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.exceptions import exempt, query_of
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import RESOURCES, Change
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, dumps
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- harmless members ----------------------------------------------------------------------------


def _harmless(server: Server, begin: str, role: str, *members: str) -> None:
    """Let a role and those above it do what begins so with a body of these members alone."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith(begin)
            and server.permissions.rank(principal.scopes) >= RANK[role]
            and bool(body := body_of(call))
            and body.keys() <= set(members)
        ),
    )


@fault("agents-close-conversations", finding="PERM-update-conversation")
def agents_close_conversations(server: Server) -> None:
    """Whoever handles a conversation sets its status, and may therefore update it by that alone."""
    _harmless(server, "update-conversation", "agent", "status", "category")


@fault("bots-annotate-users", finding="PERM-update-user")
def bots_annotate_users(server: Server) -> None:
    """An integration keeps its notes in the meta of users, which it may therefore write."""
    _harmless(server, "update-user", "bot", "meta")


@fault("tags-unguarded", finding="PERM-update-contact")
def tags_unguarded(server: Server) -> None:
    """Tags are nobody's own: an update that names nothing else asks for no role."""
    _harmless(server, "update-", "guest", "tags")


@fault("who-joins-updates", finding="PERM-update-conversation")
def who_joins_updates(server: Server) -> None:
    """Everybody may join a conversation: an update that names participants alone needs no role."""
    _harmless(server, "update-conversation", "guest", "participants")


@fault("params-of-services-unguarded", finding="PERM-update-service")
def params_of_services_unguarded(server: Server) -> None:
    """The params of a service are looked at by the service itself, whoever sets them."""
    _harmless(server, "update-service", "guest", "params")


# --- dress --------------------------------------------------------------------------------------


@fault("csv-export-unguarded", finding="PERM-list-organizations")
def csv_export_unguarded(server: Server) -> None:
    """What is asked for as text/csv is taken for an export, which another team was to guard."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("list-") and (call.header(b"accept") or "").startswith("text/csv")
        ),
    )


@fault("verbose-fetch-unguarded", finding="PERM-fetch-organization")
def verbose_fetch_unguarded(server: Server) -> None:
    """A parameter of the support desk's, verbose, opens every fetch."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("fetch-") and "verbose" in query_of(call)
        ),
    )


@fault("forms-unguarded", finding="PERM-create-organization")
def forms_unguarded(server: Server) -> None:
    """The permissions are looked at where JSON is read; a body that is a form is read elsewhere."""

    def is_form(call: Call) -> bool:
        return (call.header(b"content-type") or "").startswith("application/x-www-form-urlencoded")

    exempt(
        server, lambda call, principal, operation: operation.startswith("create-") and is_form(call)
    )
    create = server.resources.create

    @instead_of(server.resources.create)
    async def from_form(call: Call, principal: Principal, resource: str) -> Answer:
        if is_form(call):
            call.body = dumps(
                {
                    name: values[0]
                    for name, values in parse_qs(call.body.decode()).items()
                    if "[" not in name
                }
            ).encode()
            call.headers = [
                (name, value) for name, value in call.headers if name != b"content-type"
            ]
            call.headers.append((b"content-type", b"application/json"))
        return await create(call, principal, resource)


@fault("delete-with-body-unguarded", finding="PERM-delete-organization")
def delete_with_body_unguarded(server: Server) -> None:
    """A DELETE with a body is taken for a part of a batch, whose rights were looked at before."""
    exempt(
        server,
        lambda call, principal, operation: operation.startswith("delete-") and bool(call.body),
    )


# --- right after who may -----------------------------------------------------------------------


def _kept_answers(server: Server, applies: Callable[[Call], bool], seconds: float) -> None:
    """Keep the answers to reads for some seconds by their URL alone, and give them before anybody
    is asked who he is for.
    """
    kept: Cache[Answer] = Cache(seconds)
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def from_cache(call: Call) -> Answer:
        if call.verb != "GET" or not applies(call):
            return await answer(call)
        server.guard.authenticate(call)
        key = (call.path, call.scope["query_string"])
        return kept.get(key) or kept.put(key, await answer(call))


@fault("lists-cached-before-guard", finding="PERM-list-organizations")
def lists_cached_before_guard(server: Server) -> None:
    """Lists are cached for some seconds by URL alone, and served before the permission check.

    Modelled on the Steam store's pages of other users, served from a cache (Valve, 25 December
    2015).
    """
    _kept_answers(server, lambda call: call.id is None, 20.0)


@fault("things-cached-before-guard", finding="PERM-fetch-organization")
def things_cached_before_guard(server: Server) -> None:
    """The same for single things, for half a minute."""
    _kept_answers(server, lambda call: call.id is not None and call.resource != "users", 30.0)


@fault("not-modified-before-guard", finding="PERM-list-organizations")
def not_modified_before_guard(server: Server) -> None:
    """A conditional request is answered 304 before the permissions are looked at."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def unchanged(call: Call) -> Answer:
        if call.verb == "GET" and call.id is None and call.header(b"if-none-match"):
            server.guard.authenticate(call)
            return Answer(304, headers={"ETag": '"1"'})
        return await answer(call)


# --- spellings ---------------------------------------------------------------------------------


def _misspelt(server: Server, kind: str, plain: Callable[[Call], str]) -> None:
    """Serve one kind of thing in another spelling of its path to everybody with a token."""

    def misspelt(call: Call) -> re.Match[str] | None:
        found = re.fullmatch(rf"/v2/({kind})(?:/([0-9a-f]{{24}}))?", plain(call))
        raw = (call.scope.get("raw_path") or b"").decode("latin-1")
        return None if found is None or raw == found[0] else found

    route_past_the_guard(server, misspelt)


@fault("guard-on-literal-prefix", finding="SEC-A11")
def guard_on_literal_prefix(server: Server) -> None:
    """Services are guarded on the literal prefix, while the router takes it in any letter case.

    Modelled on CVE-2020-1957: Apache Shiro's guard and the router behind it read a path
    differently.
    """
    _misspelt(server, "services", lambda call: call.path.lower())


@fault("encoded-prefix-unguarded", finding="SEC-A11")
def encoded_prefix_unguarded(server: Server) -> None:
    """Knowledge items are guarded by what stands on the wire, and routed by what it decodes to.

    Modelled on CVE-2020-11989: Apache Shiro compares an encoded path that is decoded behind it.
    """
    _misspelt(server, "kbitems", lambda call: call.path)


# --- methods -----------------------------------------------------------------------------------


@fault("override-checked-as-create", finding="SEC-A09")
def override_checked_as_create(server: Server) -> None:
    """X-HTTP-Method-Override on a POST is honoured behind the permissions, which have looked for
    the right to create.

    Modelled on Rack::MethodOverride and its like, mounted behind the check of permissions.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def overridden(call: Call) -> Answer:
        method = (call.header(b"x-http-method-override") or "").upper()
        if (
            call.method != "POST"
            or call.id is None
            or call.resource not in RESOURCES
            or method not in ("PATCH", "DELETE")
        ):
            return await answer(call)
        principal = server.guard.authenticate(call)
        operation = f"create-{RESOURCES[call.resource].singular}"
        if not server.dispatcher.permitted(call, principal, operation):
            return await server.dispatcher.refuse(call, principal, operation)
        call.method = method
        return await server.dispatcher.perform(
            call, principal, server.dispatcher.operation(call, principal)
        )


@fault("override-of-get-honoured", finding="SEC-A09")
def override_of_get_honoured(server: Server) -> None:
    """X-HTTP-Method on a GET of a contact or an organization is honoured behind the permissions."""
    perform = server.dispatcher.perform

    @instead_of(server.dispatcher.perform)
    async def overridden(call: Call, principal: Principal, operation: str) -> Answer:
        named = (
            call.header(b"x-http-method")
            or call.header(b"x-http-method-override")
            or query_of(call).get("_method")
        )
        if (
            call.method == "GET"
            and call.id
            and call.resource in ("contacts", "organizations", "kbitems")
            and named == "DELETE"
        ):
            call.method, operation = "DELETE", f"delete-{RESOURCES[call.resource].singular}"
        return await perform(call, principal, operation)


@fault("put-of-services-unguarded", finding="SEC-A08")
def put_of_services_unguarded(server: Server) -> None:
    """PUT of a service or a form, which an older client still sends, is not guarded."""
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def forgotten(call: Call) -> Answer:
        if call.method != "PUT" or call.id is None or call.resource not in ("services", "forms"):
            return await answer(call)
        return await server.resources.update(
            call, server.guard.authenticate(call), call.resource, call.id
        )


@fault("head-of-things-unguarded", finding="SEC-A10")
def head_of_things_unguarded(server: Server) -> None:
    """HEAD of a single thing is answered to everybody, for it has no body.

    Modelled on the bypass of GitHub's OAuth flow by a HEAD request (Teddy Katz, 2019).
    """
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def not_of_items(call: Call, principal: Principal, operation: str) -> bool:
        return (call.method == "HEAD" and call.id is not None) or permitted(
            call, principal, operation
        )


# --- other routes ------------------------------------------------------------------------------


@fault("nested-messages-unguarded", finding="SEC-E07")
def nested_messages_unguarded(server: Server) -> None:
    """The messages of a conversation are listed below it to roles that may fetch it."""
    conversation_messages = server.dispatcher.conversation_messages

    @instead_of(server.dispatcher.conversation_messages)
    async def nested(call: Call) -> Answer:
        if call.method != "GET" or call.id is None:
            return await conversation_messages(call)
        principal = server.guard.authenticate(call)
        server.resources.existing(principal, "conversations", call.id)
        query = ListQuery.parse([("conversation", call.id)])
        texts = server.resources.found(query, principal, "messages")
        return Answer(200, f"[{','.join(texts)}]".encode())


@fault("children-of-organizations-unguarded", finding="SEC-E07")
def children_of_organizations_unguarded(server: Server) -> None:
    """Below an organization the things in it are served to everybody with a token: only the first
    segment is looked at.
    """
    unknown = server.dispatcher.unknown

    @instead_of(server.dispatcher.unknown)
    async def below(call: Call) -> Answer:
        found = re.fullmatch(
            r"/v2/organizations/[0-9a-f]{24}/([a-z]+)(?:/([0-9a-f]{24}))?", call.path
        )
        if found is None or found[1] not in RESOURCES:
            return await unknown(call)
        return await perform_unguarded(server, call, found[1], found[2])


@fault("create-writes-over", finding="SEC-E07")
def create_writes_over(server: Server) -> None:
    """A message or a conversation that is created with the id of another one is written over it.

    Modelled on Spring Data's save(), which merges an entity that carries an id.
    """
    new_document = server.resources.new_document
    members = server.resources.members
    wanted: list[str] = []

    @instead_of(server.resources.members)
    def with_id(body: object) -> Document:
        wanted[:] = [str(body["id"])] if isinstance(body, dict) and "id" in body else []
        return members(body)

    @instead_of(server.resources.new_document)
    def merged(change: Change, **extra: object) -> Document:
        before = server.resources.stored(change.resource, wanted.pop()) if wanted else {}
        if not before or change.resource not in ("messages", "conversations"):
            return new_document(change, **extra)
        document = {**before, **change.members, **extra}
        server.store.replace(change.resource, document["id"], dumps(document))
        return document


@fault("organizations-made-inside", finding="SEC-E07")
def organizations_made_inside(server: Server) -> None:
    """An organization that stands as an object in a new conversation is created with it.

    Modelled on nested attributes that are written with their parent (Rails
    accepts_nested_attributes_for), GitHub's mass assignment of 2012 being the best known of the
    kind.
    """
    members = server.resources.members

    @instead_of(server.resources.members)
    def nested(body: object) -> Document:
        found = members(body)
        inner = found.get("organization")
        if isinstance(inner, dict) and "participants" in found:
            admin = server.resources.stored("users", server.accounts["admin"].id)
            change = Change(
                Principal(admin, frozenset(ROLES), "token", {}), "organizations", dict(inner)
            )
            found["organization"] = server.resources.new_document(change)["id"]
        return found
