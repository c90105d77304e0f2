"""Faults of who may do what: the permission table, its cascade, its edges and the ways around it."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, forbidden, not_found
from rolecall.reference.faults.registry import fault
from rolecall.reference.jsontext import Document, dumps, loads
from rolecall.reference.permissions import LOWEST_SCOPE, RANK
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import RESOURCES, Change
from rolecall.reference.settings import ROLES
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- self and others ---------------------------------------------------------------------------------------


@fault("any-user-fetched-as-self", finding="PERM-fetch-user")
def any_user_fetched_as_self(server: Server) -> None:
    """Fetching any user counts as fetching oneself."""
    is_self = server.dispatcher.is_self

    @instead_of(server.dispatcher.is_self)
    def without_check(call: Call, principal: Principal) -> bool:
        return call.resource == "users" if call.verb == "GET" else is_self(call, principal)


@fault("any-user-updated-as-self", finding="PERM-update-user")
def any_user_updated_as_self(server: Server) -> None:
    """Updating any user counts as updating oneself."""
    is_self = server.dispatcher.is_self

    @instead_of(server.dispatcher.is_self)
    def without_check(call: Call, principal: Principal) -> bool:
        return call.resource == "users" if call.verb == "PATCH" else is_self(call, principal)


@fault("no-user-is-self", finding="PERM-fetch-user-self")
def no_user_is_self(server: Server) -> None:
    """The rows for oneself are forgotten: one's own user is a user like any other."""

    @instead_of(server.dispatcher.is_self)
    def never(call: Call, principal: Principal) -> bool:
        return False


@fault("upper-case-id-is-self", finding="SEC-A05")
def upper_case_id_is_self(server: Server) -> None:
    """An id in upper-case digits is looked up as it should be, but passes for one's own."""
    is_self = server.dispatcher.is_self

    @instead_of(server.dispatcher.is_self)
    def fooled(call: Call, principal: Principal) -> bool:
        if call.resource == "users" and call.id and call.id != call.id.lower():
            call.id = call.id.lower()
            return True
        return is_self(call, principal)


@fault("id-in-body-decides", finding="SEC-A05")
def id_in_body_decides(server: Server) -> None:
    """An update of oneself goes to the user whom the body names by id or _id."""
    update = server.resources.update

    @instead_of(server.resources.update)
    async def elsewhere(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        body = call.json()
        named = body.get("_id") or body.get("id") if isinstance(body, dict) and resource == "users" else None
        return await update(call, principal, resource, named if isinstance(named, str) else id)


# --- the cascade -------------------------------------------------------------------------------------------


def _only_own_rows(server: Server, role: str, credentials: tuple[str, ...] = ("token", "api-key")) -> None:
    """Let a role do what its own name stands at in the table, and nothing below."""
    permissions = server.permissions
    allows = permissions.allows

    @instead_of(permissions.allows)
    def broken(scopes: frozenset[str], operation: str, credential: str) -> bool:
        if permissions.rank(scopes) == RANK[role] and credential in credentials and operation in LOWEST_SCOPE:
            return LOWEST_SCOPE[operation] == role
        return allows(scopes, operation, credential)


@fault("bot-without-lower-scopes", finding="SCOPE-cascade")
def bot_without_lower_scopes(server: Server) -> None:
    """A bot may not do what agents and guests may."""
    _only_own_rows(server, "bot")


@fault("agent-without-lower-scopes", finding="SCOPE-cascade")
def agent_without_lower_scopes(server: Server) -> None:
    """An agent may not do what guests may."""
    _only_own_rows(server, "agent")


@fault("bot-keys-without-lower-scopes", finding="SCOPE-cascade")
def bot_keys_without_lower_scopes(server: Server) -> None:
    """A bot scoped key may not do what agents and guests may; a bot's time-based token may."""
    _only_own_rows(server, "bot", ("api-key",))


@fault("bot-tokens-without-lower-scopes", finding="SCOPE-cascade")
def bot_tokens_without_lower_scopes(server: Server) -> None:
    """A bot's time-based token may not do what agents and guests may; a bot scoped key may."""
    _only_own_rows(server, "bot", ("token",))


@fault("keys-without-cascade", finding="SCOPE-cascade")
def keys_without_cascade(server: Server) -> None:
    """An API key's scopes are taken one by one: a key may do exactly what stands at their names."""
    allows = server.permissions.allows

    @instead_of(server.permissions.allows)
    def literal(scopes: frozenset[str], operation: str, credential: str) -> bool:
        if credential == "api-key" and operation in LOWEST_SCOPE:
            return LOWEST_SCOPE[operation] in scopes
        return allows(scopes, operation, credential)


# --- what the decision looks at ----------------------------------------------------------------------------


@fault("items-unguarded", finding="PERM-fetch-organization")
def items_unguarded(server: Server) -> None:
    """Only collections are guarded; whoever knows an id may fetch, update and delete."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def collections_only(call: Call, principal: Principal, operation: str) -> bool:
        return call.id is not None or permitted(call, principal, operation)


@fault("collections-unguarded", finding="PERM-list-organizations")
def collections_unguarded(server: Server) -> None:
    """Only items are guarded; everybody may list and create."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def items_only(call: Call, principal: Principal, operation: str) -> bool:
        return call.id is None or permitted(call, principal, operation)


@fault("item-permission-of-the-list", finding="PERM-list-conversations")
def item_permission_of_the_list(server: Server) -> None:
    """Whoever may fetch one may list them all: guests list conversations, bots lose forms."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def by_item(call: Call, principal: Principal, operation: str) -> bool:
        if operation.startswith("list-"):
            operation = f"fetch-{RESOURCES[call.resource].singular}"
        return permitted(call, principal, operation)


@fault("fetch-permission-of-the-list", finding="PERM-fetch-conversation")
def fetch_permission_of_the_list(server: Server) -> None:
    """The odd rows are evened out: whoever may list may fetch, and nobody else."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def by_list(call: Call, principal: Principal, operation: str) -> bool:
        if operation.startswith("fetch-") and operation != "fetch-user-self":
            operation = f"list-{RESOURCES[call.resource].plural}"
        return permitted(call, principal, operation)


@fault("reads-unguarded", finding="PERM-list-organizations")
def reads_unguarded(server: Server) -> None:
    """The method decides: whoever has a token may read everything."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def writes_only(call: Call, principal: Principal, operation: str) -> bool:
        return call.verb == "GET" or permitted(call, principal, operation)


@fault("updates-unguarded", finding="PERM-update-organization")
def updates_unguarded(server: Server) -> None:
    """The method decides: PATCH was forgotten when the permissions were written."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def without_patch(call: Call, principal: Principal, operation: str) -> bool:
        return call.method == "PATCH" or permitted(call, principal, operation)


@fault("update-permission-of-create", finding="PERM-update-conversation")
def update_permission_of_create(server: Server) -> None:
    """Whoever may create a thing may update it: agents update conversations, guests messages."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def by_create(call: Call, principal: Principal, operation: str) -> bool:
        if operation.startswith("update-") and operation != "update-user-self":
            operation = f"create-{RESOURCES[call.resource].singular}"
        return permitted(call, principal, operation)


@fault("delete-permission-of-update", finding="PERM-delete-message")
def delete_permission_of_update(server: Server) -> None:
    """Whoever may update a thing may delete it."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def by_update(call: Call, principal: Principal, operation: str) -> bool:
        if operation.startswith("delete-"):
            operation = operation.replace("delete-", "update-")
        return permitted(call, principal, operation)


# --- ways around -------------------------------------------------------------------------------------------


def _respelled(server: Server, respell: re.Pattern[str], plain: str) -> None:
    """Serve paths of another spelling to everybody with a token."""
    unknown = server.dispatcher.unknown
    answer = server.dispatcher.answer

    async def let_in(call: Call) -> Answer | None:
        path = respell.sub(plain, call.path).lower()
        found = re.fullmatch(r"/v2/([a-z]+)(?:/([0-9a-f]{24}))?", path)
        if path == call.path or found is None or found[1] not in RESOURCES:
            return None
        principal = server.guard.authenticate(call)
        call.resource, call.id = found[1], found[2]
        return await server.dispatcher.perform(call, principal, server.dispatcher.operation(call, principal))

    @instead_of(server.dispatcher.unknown)
    async def unknown_but_for_spelling(call: Call) -> Answer:
        return await let_in(call) or await unknown(call)

    @instead_of(server.dispatcher.answer)
    async def answer_but_for_spelling(call: Call) -> Answer:
        return await let_in(call) or await answer(call)


@fault("trailing-slash-unguarded", finding="SEC-A11")
def trailing_slash_unguarded(server: Server) -> None:
    """With a slash at its end a path is served without a look at the permissions."""
    _respelled(server, re.compile(r"/+$"), "")


@fault("double-slash-unguarded", finding="SEC-A11")
def double_slash_unguarded(server: Server) -> None:
    """With a double slash in it a path is served without a look at the permissions."""
    _respelled(server, re.compile(r"//+"), "/")


@fault("upper-case-path-unguarded", finding="SEC-A11")
def upper_case_path_unguarded(server: Server) -> None:
    """In capitals a path is served without a look at the permissions."""
    _respelled(server, re.compile(r"$^"), "")


@fault("dot-segment-unguarded", finding="SEC-A11")
def dot_segment_unguarded(server: Server) -> None:
    """With /./ or /x/../ in it a path is served without a look at the permissions."""
    _respelled(server, re.compile(r"/\.(?=/)|/[^/]+/\.\.(?=/)"), "")


@fault("path-parameter-unguarded", finding="SEC-A11")
def path_parameter_unguarded(server: Server) -> None:
    """With ;x behind a segment a path is served without a look at the permissions."""
    _respelled(server, re.compile(r";[^/]*"), "")


@fault("json-suffix-unguarded", finding="SEC-A11")
def json_suffix_unguarded(server: Server) -> None:
    """With .json at its end a path is served without a look at the permissions."""
    _respelled(server, re.compile(r"\.json$"), "")


@fault("other-version-unguarded", finding="SEC-A16")
def other_version_unguarded(server: Server) -> None:
    """Under /v1 and /v3, or without a version, the same is served to everybody with a token."""
    _respelled(server, re.compile(r"^(?:/v[13])?(?=/(?!v2))"), "/v2")


@fault("method-override-honoured", finding="SEC-A09")
def method_override_honoured(server: Server) -> None:
    """X-HTTP-Method-Override and its like change the method after the permissions were looked at."""
    _overridden(
        server,
        lambda call: (
            call.header(b"x-http-method-override")
            or call.header(b"x-method-override")
            or call.header(b"x-http-method")
        ),
    )


@fault("method-parameter-honoured", finding="SEC-A09")
def method_parameter_honoured(server: Server) -> None:
    """A parameter _method changes the method after the permissions were looked at."""
    _overridden(server, lambda call: dict(call.query).get("_method"))


def _overridden(server: Server, wanted: Callable[[Call], str | None]) -> None:
    """Authorize the method on the wire and perform the one that is wanted."""
    perform = server.dispatcher.perform
    operation_of = server.dispatcher.operation

    @instead_of(server.dispatcher.operation)
    def lenient(call: Call, principal: Principal) -> str:
        # POST to an item is where such headers are used; it counts as the update of the item's own kind
        if call.method == "POST" and call.id is not None and call.resource in RESOURCES and wanted(call):
            return "fetch-user-self"
        return operation_of(call, principal)

    @instead_of(server.dispatcher.perform)
    async def overridden(call: Call, principal: Principal, operation: str) -> Answer:
        method = wanted(call)
        if method and method.upper() in ("GET", "POST", "PATCH", "DELETE"):
            call.method = method.upper()
            operation = operation_of(call, principal)
        return await perform(call, principal, operation)


@fault("head-unguarded", finding="SEC-A10")
def head_unguarded(server: Server) -> None:
    """HEAD is not guarded: its status and length tell what GET would have told."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def get_only(call: Call, principal: Principal, operation: str) -> bool:
        return call.method == "HEAD" or permitted(call, principal, operation)


@fault("options-show-data", finding="SEC-A10")
def options_show_data(server: Server) -> None:
    """OPTIONS is answered to anybody, with the resource in the body."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def shown(call: Call) -> Answer | None:
        if call.method == "OPTIONS" and call.resource in RESOURCES:
            texts = [server.store.get(call.resource, call.id)] if call.id else []
            page = [text for text in texts if text] or server.store.page(call.resource, 100, 0)
            return Answer(200, f"[{','.join(page)}]".encode())
        return await before(call)


@fault("trace-echoes", finding="SEC-A10")
def trace_echoes(server: Server) -> None:
    """TRACE sends the request back, token and all."""
    before = server.wire.before

    @instead_of(server.wire.before)
    async def echoed(call: Call) -> Answer | None:
        if call.method == "TRACE":
            lines = [b": ".join(header) for header in call.headers]
            return Answer(200, b"\r\n".join(lines), media_type="message/http")
        return await before(call)


@fault("populate-shows-denied", finding="SEC-A14")
def populate_shows_denied(server: Server) -> None:
    """Populate pulls in what the caller may not fetch."""
    populated = server.resources.populated

    @instead_of(server.resources.populated)
    def everything(
        document: Document, paths: tuple[str, ...], principal: Principal, resource: str
    ) -> Document:
        mighty = Principal(principal.user, frozenset(ROLES), principal.credential, principal.claims)
        return populated(document, paths, mighty, resource)


# --- how a refusal looks -----------------------------------------------------------------------------------


@fault("denied-401", finding="PERM-list-organizations")
def denied_401(server: Server) -> None:
    """Too little scope is answered 401."""
    _denied_as(server, Refusal(401, "Not allowed", {"WWW-Authenticate": "Bearer"}))


@fault("denied-404", finding="PERM-list-organizations")
def denied_404(server: Server) -> None:
    """Too little scope is answered 404."""
    _denied_as(server, not_found())


@fault("denied-500", finding="PERM-list-organizations")
def denied_500(server: Server) -> None:
    """Too little scope ends in a crash."""
    _denied_as(server, Refusal(500, "Internal server error"))


@fault("denied-redirect", finding="PERM-list-organizations")
def denied_redirect(server: Server) -> None:
    """Too little scope is answered with a redirect to a login page."""
    _denied_as(server, Refusal(302, "Log in", {"Location": "/login"}))


def _denied_as(server: Server, refusal: Refusal) -> None:
    @instead_of(server.dispatcher.refuse)
    async def refuse(call: Call, principal: Principal, operation: str) -> Answer:
        raise refusal


@fault("denied-redirect-with-body", finding="PERM-list-organizations")
def denied_redirect_with_body(server: Server) -> None:
    """Too little scope is answered with a redirect whose body holds what was asked for."""

    @instead_of(server.dispatcher.refuse)
    async def leak(call: Call, principal: Principal, operation: str) -> Answer:
        if call.verb != "GET":
            raise forbidden()
        answer = await server.dispatcher.perform(call, principal, operation)
        return Answer(302, answer.body, {"Location": "/login"})


@fault("denied-403-with-resource", finding="PERM-list-organizations")
def denied_403_with_resource(server: Server) -> None:
    """A read is refused with 403, and the body holds what was asked for."""

    @instead_of(server.dispatcher.refuse)
    async def leak(call: Call, principal: Principal, operation: str) -> Answer:
        if call.verb != "GET":
            raise forbidden()
        answer = await server.dispatcher.perform(call, principal, operation)
        return Answer(403, b'{"error":{"message":"Permission Denied"},"data":' + answer.body + b"}")


@fault("denied-200-empty-list", finding="PERM-list-organizations")
def denied_200_empty_list(server: Server) -> None:
    """A list that is not allowed is answered 200 with nothing in it."""

    @instead_of(server.dispatcher.refuse)
    async def nothing(call: Call, principal: Principal, operation: str) -> Answer:
        if operation.startswith("list-"):
            return Answer(200, b"[]")
        raise forbidden()


@fault("denied-200-empty-object", finding="PERM-fetch-organization")
def denied_200_empty_object(server: Server) -> None:
    """A thing that is not allowed is fetched with 200 and nothing but its id."""

    @instead_of(server.dispatcher.refuse)
    async def nothing(call: Call, principal: Principal, operation: str) -> Answer:
        if operation.startswith("fetch-"):
            return Answer.of(200, {"id": call.id})
        raise forbidden()


def _denied_but_done(server: Server, action: str) -> None:
    """Refuse, after doing it."""

    @instead_of(server.dispatcher.refuse)
    async def too_late(call: Call, principal: Principal, operation: str) -> Answer:
        if operation.startswith(action):
            await server.dispatcher.perform(call, principal, operation)
        raise forbidden()


@fault("denied-create-applies", finding="PERM-create-organization")
def denied_create_applies(server: Server) -> None:
    """A create is refused with 403, and done."""
    _denied_but_done(server, "create-")


@fault("denied-update-applies", finding="PERM-update-organization")
def denied_update_applies(server: Server) -> None:
    """An update is refused with 403, and done."""
    _denied_but_done(server, "update-")


@fault("denied-delete-applies", finding="PERM-delete-organization")
def denied_delete_applies(server: Server) -> None:
    """A delete is refused with 403, and done."""
    _denied_but_done(server, "delete-")


@fault("denied-update-applies-later", finding="PERM-update-organization")
def denied_update_applies_later(server: Server) -> None:
    """An update is refused with 403, and done a twentieth of a second later."""

    @instead_of(server.dispatcher.refuse)
    async def queued(call: Call, principal: Principal, operation: str) -> Answer:
        async def later() -> None:
            await asyncio.sleep(0.05)
            with contextlib.suppress(Refusal):
                await server.dispatcher.perform(call, principal, operation)

        if operation.startswith("update-"):
            tasks.add(task := asyncio.get_running_loop().create_task(later()))
            task.add_done_callback(tasks.discard)
        raise forbidden()

    tasks: set[asyncio.Task[None]] = set()


@fault("denied-status-tells-existence", finding="SEC-A12")
def denied_status_tells_existence(server: Server) -> None:
    """Who may not, hears 404 for what is not there and 403 for what is."""

    @instead_of(server.dispatcher.refuse)
    async def telling(call: Call, principal: Principal, operation: str) -> Answer:
        if call.id is not None:
            server.resources.existing(principal, call.resource, call.id)
        raise forbidden()


# --- what is allowed and does not happen -------------------------------------------------------------------


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
    new_document = server.resources.new_document
    makers: dict[str, str] = {}

    @instead_of(server.resources.new_document)
    def remembered(change: Change, **extra: object) -> Document:
        document = new_document(change, **extra)
        makers[document["id"]] = change.principal.id
        return document

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


# --- roles through one's own profile -----------------------------------------------------------------------


def _own_role(server: Server, role_in: Callable[[Document], object]) -> None:
    """Let an update of a user set its role to what is found in the body."""
    update = server.resources.update

    @instead_of(server.resources.update)
    async def assigning(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        body = call.json()
        role = role_in(body) if resource == "users" and isinstance(body, dict) else None
        answer = await update(call, principal, resource, id)
        if role in ROLES:
            document = server.resources.stored(resource, id) | {"role": role}
            server.store.replace(resource, id, dumps(document))
            return server.resources.updated(document)
        return answer


@fault("own-role-at-next-login", finding="SEC-A06")
def own_role_at_next_login(server: Server) -> None:
    """Everybody may set the own role; the next login has its scope."""
    _own_role(server, lambda body: body.get("role"))


@fault("own-role-at-once", finding="SEC-A06")
def own_role_at_once(server: Server) -> None:
    """Everybody may set the own role, and the scope of a token is looked up at every request."""
    _own_role(server, lambda body: body.get("role"))
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def current(claims: Document) -> Principal:
        one = person(claims)
        if one.credential == "api-key":
            return one
        return Principal(one.user, frozenset({one.user["role"]}), one.credential, claims)


@fault("own-scope-member", finding="SEC-A06")
def own_scope_member(server: Server) -> None:
    """A member scope or scopes of the own profile becomes the role."""

    def scope(body: Document) -> object:
        scopes = body.get("scopes")
        return body.get("scope") or (scopes[-1] if isinstance(scopes, list) and scopes else None)

    _own_role(server, scope)


@fault("own-role-nested", finding="SEC-A06")
def own_role_nested(server: Server) -> None:
    """A role inside any object of the own profile becomes the role."""

    def nested(body: Document) -> object:
        inner = [one for value in body.values() for one in (value if isinstance(value, list) else [value])]
        return next((one["role"] for one in inner if isinstance(one, dict) and "role" in one), None)

    _own_role(server, nested)


@fault("own-role-by-operator", finding="SEC-A06")
def own_role_by_operator(server: Server) -> None:
    """The body of an update is handed to the database: {"$set": {"role": ...}} works."""
    _raw_names(server)
    _own_role(server, lambda body: body["$set"].get("role") if isinstance(body.get("$set"), dict) else None)


@fault("own-role-dotted", finding="SEC-A06")
def own_role_dotted(server: Server) -> None:
    """A member whose name ends in .role sets the role."""
    _raw_names(server)
    _own_role(server, lambda body: next((body[name] for name in body if name.endswith(".role")), None))


def _raw_names(server: Server) -> None:
    """Do not look at the names of members, and do not keep the strange ones."""
    members = server.resources.members

    @instead_of(server.resources.members)
    def tolerated(body: object) -> Document:
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if "$" not in name and "." not in name}
        return members(body)


# --- API keys ----------------------------------------------------------------------------------------------


@fault("key-first-scope-only", finding="KEY-union")
def key_first_scope_only(server: Server) -> None:
    """Of a key's scopes only the first counts."""
    _key_scopes(server, lambda scopes: scopes[:1])


@fault("key-last-scope-only", finding="KEY-order")
def key_last_scope_only(server: Server) -> None:
    """Of a key's scopes only the last counts."""
    _key_scopes(server, lambda scopes: scopes[-1:])


@fault("key-lowest-scope", finding="KEY-union")
def key_lowest_scope(server: Server) -> None:
    """A key may do what all of its scopes may, instead of what any may."""
    _key_scopes(server, lambda scopes: sorted(scopes, key=RANK.__getitem__)[:1])


@fault("key-several-scopes-are-admin", finding="KEY-union")
def key_several_scopes_are_admin(server: Server) -> None:
    """A key with more than one scope may do everything."""
    _key_scopes(server, lambda scopes: scopes if len(scopes) == 1 else ["admin"])


def _key_scopes(server: Server, change: Callable[[list[str]], list[str]]) -> None:
    """Let a key have other scopes than it was given."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def changed(value: object) -> list[str]:
        return change(scopes(value))


@fault("key-duplicates-count", finding="KEY-order")
def key_duplicates_count(server: Server) -> None:
    """A scope that is repeated lifts a key by one rank for each repetition."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def lifted(value: object) -> list[str]:
        known = scopes(value)
        repeated = len(value) - len(known) if isinstance(value, list) else 0
        top = max(RANK[scope] for scope in known)
        return known if repeated == 0 else [ROLES[min(top + repeated, len(ROLES) - 1)]]


@fault("key-has-scope-of-user", finding="PERM-list-organizations")
def key_has_scope_of_user(server: Server) -> None:
    """A key may do what its user may, whatever scopes it was given."""
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def as_user(claims: Document) -> Principal:
        one = person(claims)
        scopes = frozenset({one.user["role"]}) if one.credential == "api-key" else one.scopes
        return Principal(one.user, scopes, one.credential, claims)


@fault("key-without-scopes", finding="KEY-scopes")
def key_without_scopes(server: Server) -> None:
    """A key may be created with no scopes at all."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def optional(value: object) -> list[str]:
        return scopes(value or ["guest"])


@fault("key-scopes-as-text", finding="KEY-scopes")
def key_scopes_as_text(server: Server) -> None:
    """A key's scopes may be a text instead of an array."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def split(value: object) -> list[str]:
        return scopes(value.split() if isinstance(value, str) else value)


@fault("key-scopes-without-case", finding="KEY-scopes")
def key_scopes_without_case(server: Server) -> None:
    """A key may be created with the scope Admin, and is an admin's."""
    scopes = server.api_keys.scopes

    @instead_of(server.api_keys.scopes)
    def lowered(value: object) -> list[str]:
        if isinstance(value, list):
            value = [one.lower() if isinstance(one, str) else one for one in value]
        return scopes(value)


@fault("key-unknown-scopes", finding="KEY-scopes")
def key_unknown_scopes(server: Server) -> None:
    """A key may be created with scopes that nobody knows, and with things that are no texts."""

    @instead_of(server.api_keys.scopes)
    def anything(value: object) -> list[str]:
        return [str(scope) for scope in value] if isinstance(value, list) and value else ["guest"]


# --- limits ------------------------------------------------------------------------------------------------


@fault("strange-limit-crashes", finding="SEC-A18")
def strange_limit_crashes(server: Server) -> None:
    """A limit that is not a number of things ends in a crash."""
    listing = server.resources.listing

    @instead_of(server.resources.listing)
    def fragile(call: Call, principal: Principal, resource: str) -> Answer:
        try:
            return listing(call, principal, resource)
        except Refusal as refusal:
            raise (Refusal(500, "Internal server error") if "limit" in refusal.message else refusal) from None
