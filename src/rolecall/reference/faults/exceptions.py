"""Faults that make an exception from a denial: for one's own things, for a narrower list, for
another dress, right after who may.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import parse_qs

from rolecall.reference.alterations import (
    Exemption,
    asked_for,
    before_refusing,
    change_stored,
    make_exception,
    note_makers,
    perform_unguarded,
    route_past_the_guard,
)
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.cache import Cache
from rolecall.reference.faults.registry import fault
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import RESOURCES, Change
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def _exempt(server: Server, applies: Exemption) -> None:
    """Permit more than the table does, to callers with a time-based token."""
    make_exception(
        server,
        lambda call, principal, operation: (
            principal.credential == "token" and applies(call, principal, operation)
        ),
    )


def _query(call: Call) -> dict[str, str]:
    return dict(call.query)


# --- one's own things ---------------------------------------------------------------------------


@fault("makers-delete-their-own", finding="PERM-delete-conversation")
def makers_delete_their_own(server: Server) -> None:
    """Who has made a thing may delete it, whatever the role; of API keys nobody thought."""
    makers = note_makers(server)
    _exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("delete-") and makers.get(call.id or "") == principal.id
        ),
    )


@fault("makers-fetch-their-own", finding="PERM-fetch-message")
def makers_fetch_their_own(server: Server) -> None:
    """Who has made a thing may fetch it: guests their messages, bots their forms.

    Modelled on an owner's exception in a route filter, the kind of OWASP API5:2023, broken function
    level authorization.
    """
    makers = note_makers(server)
    _exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("fetch-") and makers.get(call.id or "") == principal.id
        ),
    )


@fault("first-participant-updates", finding="PERM-update-conversation")
def first_participant_updates(server: Server) -> None:
    """Who began a conversation may update it, as the first of its participants."""

    def began(call: Call, principal: Principal, operation: str) -> bool:
        participants: list[Document] = asked_for(server, call).get("participants") or [{}]
        return operation == "update-conversation" and participants[0].get("user") == principal.id

    _exempt(server, began)


@fault("own-conversations-messages-listed", finding="PERM-list-messages")
def own_conversations_messages_listed(server: Server) -> None:
    """Who began a conversation may list its messages."""

    def began(call: Call, principal: Principal, operation: str) -> bool:
        if operation != "list-messages":
            return False
        conversation = server.resources.stored(
            "conversations", _query(call).get("conversation", "")
        )
        participants: list[Document] = conversation.get("participants") or [{}]
        return participants[0].get("user") == principal.id

    _exempt(server, began)


@fault("own-organization-fetched", finding="PERM-fetch-organization")
def own_organization_fetched(server: Server) -> None:
    """Everybody may fetch the organization of the own user."""
    _exempt(
        server,
        lambda call, principal, operation: (
            operation == "fetch-organization" and call.id == principal.user.get("organization")
        ),
    )


@fault("own-organization-updated", finding="PERM-update-organization")
def own_organization_updated(server: Server) -> None:
    """The members of an organization may update it."""
    _exempt(
        server,
        lambda call, principal, operation: (
            operation == "update-organization" and call.id == principal.user.get("organization")
        ),
    )


# --- oneself ------------------------------------------------------------------------------------


@fault("list-of-oneself-unguarded", finding="PERM-list-users")
def list_of_oneself_unguarded(server: Server) -> None:
    """A list of users by one's own id is open to everybody, for it can only show oneself."""
    _exempt(
        server,
        lambda call, principal, operation: (
            operation == "list-users" and _query(call).get("id") == principal.id
        ),
    )


@fault("self-by-id-in-body", finding="SEC-A05")
def self_by_id_in_body(server: Server) -> None:
    """Whoever names the own id in the body of an update is taken for the user who is updated.

    Modelled on a check of the body's id beside a path variable, the kind of OWASP API1:2023, broken
    object level authorization.
    """

    def named(call: Call, principal: Principal, operation: str) -> bool:
        body = call.json() if operation == "update-user" and call.body else None
        return isinstance(body, dict) and principal.id in (body.get("id"), body.get("_id"))

    _exempt(server, named)


@fault("self-by-parameter", finding="SEC-A05")
def self_by_parameter(server: Server) -> None:
    """Parameters of the query win over those of the path where it is asked whether somebody means
    the own user.
    """
    _exempt(
        server,
        lambda call, principal, operation: (
            operation in ("fetch-user", "update-user")
            and principal.id in (_query(call).get("id"), _query(call).get("user"))
        ),
    )


def _near(server: Server, is_near: Callable[[Document, Document], bool]) -> None:
    """Take users who are near to oneself for oneself."""
    is_self = server.dispatcher.is_self

    @instead_of(server.dispatcher.is_self)
    def nearly(call: Call, principal: Principal) -> bool:
        return is_self(call, principal) or (
            call.resource == "users" and is_near(principal.user, asked_for(server, call))
        )


@fault("self-by-mailbox-prefix", finding="SEC-A05")
def self_by_mailbox_prefix(server: Server) -> None:
    """A user whose address begins with one's own local part counts as oneself, for the sake of
    plus-addresses.

    Modelled on nOAuth, where an e-mail address is taken for who somebody is (Descope, 2023).
    """
    _near(
        server,
        lambda own, other: str(other.get("email")).startswith(
            str(own.get("email")).partition("@")[0]
        ),
    )


@fault("self-by-local-part", finding="SEC-A05")
def self_by_local_part(server: Server) -> None:
    """A user with the same local part at another domain counts as oneself."""
    _near(
        server,
        lambda own, other: (
            str(other.get("email")).partition("@")[0] == str(own.get("email")).partition("@")[0]
        ),
    )


@fault("self-by-moment", finding="SEC-A05")
def self_by_moment(server: Server) -> None:
    """Users are compared by the time in their ids: who was made within the same five seconds as a
    made user counts as that user.
    """
    accounts = {account.id for account in server.accounts.values()}

    def moment(user: Document) -> float:
        return datetime.fromisoformat(user["createdAt"]).timestamp() if "createdAt" in user else 0.0

    _near(
        server,
        lambda own, other: (
            not accounts & {own["id"], other["id"]} and abs(moment(own) - moment(other)) < 5
        ),
    )


# --- narrower lists -----------------------------------------------------------------------------


def _open_list(server: Server, applies: Callable[[dict[str, str], Principal], bool]) -> None:
    _exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("list-") and applies(_query(call), principal)
        ),
    )


@fault("list-by-id-unguarded", finding="PERM-list-organizations")
def list_by_id_unguarded(server: Server) -> None:
    """A list that is filtered by an id takes the way of a fetch, which was thought to be guarded."""
    _open_list(server, lambda query, principal: "id" in query)


@fault("list-of-own-organization-unguarded", finding="PERM-list-organizations")
def list_of_own_organization_unguarded(server: Server) -> None:
    """A list of what belongs to the caller's own organization is open to its members."""
    _open_list(
        server,
        lambda query, principal: (
            "organization" in query and query["organization"] == principal.user.get("organization")
        ),
    )


@fault("list-of-one-unguarded", finding="PERM-list-organizations")
def list_of_one_unguarded(server: Server) -> None:
    """A list of a single thing, as pickers ask for it, is open to everybody."""
    _open_list(server, lambda query, principal: query.get("limit") == "1")


@fault("list-since-unguarded", finding="PERM-list-organizations")
def list_since_unguarded(server: Server) -> None:
    """What has changed since a date is told to everybody, for the synchronisation of clients.

    Modelled on the API of USPS Informed Visibility, whose search parameters were open to every user
    (Krebs on Security, 2018).
    """
    _open_list(server, lambda query, principal: "createdAt" in query)


# --- dress --------------------------------------------------------------------------------------


@fault("csv-export-unguarded", finding="PERM-list-organizations")
def csv_export_unguarded(server: Server) -> None:
    """What is asked for as text/csv is taken for an export, which another team was to guard."""
    _exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("list-") and (call.header(b"accept") or "").startswith("text/csv")
        ),
    )


@fault("verbose-fetch-unguarded", finding="PERM-fetch-organization")
def verbose_fetch_unguarded(server: Server) -> None:
    """A parameter of the support desk's, verbose, opens every fetch."""
    _exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("fetch-") and "verbose" in _query(call)
        ),
    )


@fault("forms-unguarded", finding="PERM-create-organization")
def forms_unguarded(server: Server) -> None:
    """The permissions are looked at where JSON is read; a body that is a form is read elsewhere."""

    def is_form(call: Call) -> bool:
        return (call.header(b"content-type") or "").startswith("application/x-www-form-urlencoded")

    _exempt(
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
    _exempt(
        server,
        lambda call, principal, operation: operation.startswith("delete-") and bool(call.body),
    )


# --- right after who may ------------------------------------------------------------------------


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
    """Answers to lists are kept for some seconds by URL alone, and served before the permissions
    are looked at.

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
    """Who asks whether something has changed is told that it has not, before the permissions are
    looked at.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def unchanged(call: Call) -> Answer:
        if call.verb == "GET" and call.id is None and call.header(b"if-none-match"):
            server.guard.authenticate(call)
            return Answer(304, headers={"ETag": '"1"'})
        return await answer(call)


# --- spellings ----------------------------------------------------------------------------------


def _misspelt(server: Server, kind: str, plain: Callable[[Call], str]) -> None:
    """Serve one kind of thing in another spelling of its path to everybody with a token."""

    def misspelt(call: Call) -> re.Match[str] | None:
        found = re.fullmatch(rf"/v2/({kind})(?:/([0-9a-f]{{24}}))?", plain(call))
        raw = (call.scope.get("raw_path") or b"").decode("latin-1")
        return None if found is None or raw == found[0] else found

    route_past_the_guard(server, misspelt)


@fault("guard-on-literal-prefix", finding="SEC-A11")
def guard_on_literal_prefix(server: Server) -> None:
    """Services are guarded by a middleware on the literal prefix, while the router takes it in any
    letter case.

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


# --- methods ------------------------------------------------------------------------------------


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
            or _query(call).get("_method")
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


# --- other routes -------------------------------------------------------------------------------


@fault("nested-messages-unguarded", finding="SEC-E07")
def nested_messages_unguarded(server: Server) -> None:
    """The messages of a conversation are listed below it to whoever may fetch the conversation."""
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


# --- what is not given, and single members ------------------------------------------------------


def _role_not_given(server: Server, is_none: Callable[[object], bool]) -> None:
    """Let an update of oneself take the role away; the next log-in has the role that new users
    have.
    """
    update = server.resources.update

    @instead_of(server.resources.update)
    async def taking_away(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        body = call.json()
        takes_away = (
            resource == "users"
            and isinstance(body, dict)
            and "role" in body
            and is_none(body["role"])
        )
        if takes_away:
            call.body = dumps(
                {name: value for name, value in body.items() if name != "role"}
            ).encode()
        answer = await update(call, principal, resource, id)
        if takes_away:
            change_stored(server, resource, id, role="agent")
        return answer


@fault("null-role-is-the-default", finding="SEC-A06")
def null_role_is_the_default(server: Server) -> None:
    """A role of null is taken away, and another one put in its place that new users have."""
    _role_not_given(server, lambda role: role is None)


@fault("empty-role-is-the-default", finding="SEC-A06")
def empty_role_is_the_default(server: Server) -> None:
    """An empty role is taken for one that was not given, and the default is put in its place."""
    _role_not_given(server, lambda role: role in ("", [], {}))


def _not_stored(server: Server, applies: Callable[[str, object], bool]) -> None:
    """Answer an update with all that was sent, and do not store some of it."""
    merged = server.resources.merged
    answered: list[Document] = []

    @instead_of(server.resources.merged)
    def without(document: Document, members: Document) -> Document:
        answered[:] = [merged(document, members)]
        return merged(
            document, {name: value for name, value in members.items() if not applies(name, value)}
        )

    updated = server.resources.updated

    @instead_of(server.resources.updated)
    def as_if(document: Document) -> Answer:
        return updated(answered.pop() if answered else document)


@fault("lists-never-dirty", finding="SEC-E10")
def lists_never_dirty(server: Server) -> None:
    """A changed list is in the answer of the update, and is not stored.

    Modelled on Mongoose, which does not save what has changed inside of a Mixed path without
    markModified.
    """
    _not_stored(server, lambda name, value: isinstance(value, list))


@fault("params-never-dirty", finding="SEC-E10")
def params_never_dirty(server: Server) -> None:
    """The params of services are in the answer of an update, and are not stored."""
    _not_stored(server, lambda name, value: name == "params")


@fault("content-only-once", finding="SEC-E10")
def content_only_once(server: Server) -> None:
    """The content of a knowledge item is written when it is made, and never again."""
    _not_stored(server, lambda name, value: name == "content")


# --- traces -------------------------------------------------------------------------------------


def _mark_refused(server: Server, action: str, **members: object) -> None:
    """Change the thing that a refused request was about, before it is refused."""

    def mark(call: Call, principal: Principal, operation: str) -> None:
        document = asked_for(server, call)
        if document and operation.startswith(action):
            change_stored(server, call.resource, document["id"], **members)

    before_refusing(server, mark)


@fault("denied-delete-marks", finding="PERM-delete-organization")
def denied_delete_marks(server: Server) -> None:
    """A delete that is refused has set deletedAt before."""
    _mark_refused(server, "delete-", deletedAt="2026-01-01T00:00:00.000Z")


@fault("denied-update-counts", finding="PERM-update-organization")
def denied_update_counts(server: Server) -> None:
    """An update that is refused has set the status of the thing to pending."""
    _mark_refused(server, "update-", status="pending")


@fault("denied-delete-hides", finding="PERM-delete-organization")
def denied_delete_hides(server: Server) -> None:
    """What somebody has tried to delete is in no list any more, and still there by its id."""
    hidden: set[str] = set()
    found = server.resources.found

    def hide(call: Call, principal: Principal, operation: str) -> None:
        if operation.startswith("delete-") and call.id:
            hidden.add(call.id)

    before_refusing(server, hide)

    @instead_of(server.resources.found)
    def shown(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        return [
            text
            for text in found(query, principal, resource)
            if loads(text.encode()).get("id") not in hidden
        ]


# --- expired tokens -----------------------------------------------------------------------------


def _let_in_expired(server: Server, applies: Callable[[Call], bool]) -> None:
    """Do not look at the end of a token for some requests."""
    authenticate = server.guard.authenticate
    expired = server.verifier.expired
    looked_away: list[bool] = []

    @instead_of(server.verifier.expired)
    def unless_away(exp: int) -> bool:
        return not looked_away and expired(exp)

    @instead_of(server.guard.authenticate)
    def leniently(call: Call) -> Principal:
        if applies(call):
            looked_away.append(True)
        try:
            return authenticate(call)
        finally:
            looked_away.clear()


@fault("expired-heads-let-in", finding="EXPIRY-403", needs=("clock",))
def expired_heads_let_in(server: Server) -> None:
    """HEAD is answered to tokens that have expired, so that monitors go on."""
    _let_in_expired(server, lambda call: call.method == "HEAD")


@fault("expired-filtered-lists-let-in", finding="EXPIRY-403", needs=("clock",))
def expired_filtered_lists_let_in(server: Server) -> None:
    """A list by id, or of one thing, is answered to tokens that have expired."""
    _let_in_expired(
        server,
        lambda call: (
            call.verb == "GET" and call.id is None and bool({"id", "limit"} & set(_query(call)))
        ),
    )
