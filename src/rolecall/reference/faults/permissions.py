"""Faults of the permission table: self and others, the cascade, what the decision looks at."""

from __future__ import annotations

from time import monotonic

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import LOWEST_SCOPE, RANK
from rolecall.reference.resources import RESOURCES
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- self and others ----------------------------------------------------------------------------


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
        named = (
            body.get("_id") or body.get("id")
            if isinstance(body, dict) and resource == "users"
            else None
        )
        return await update(call, principal, resource, named if isinstance(named, str) else id)


@fault("id-in-body-decides-behind-a-replica", finding="SEC-A05")
def id_in_body_decides_behind_a_replica(server: Server) -> None:
    """An update of oneself is saved as the user whom the body names, and is answered with what was
    saved; reads ask a replica, which knows of it half a second later.
    """
    id_in_body_decides(server)
    update, fetch = server.resources.update, server.resources.fetch
    known: dict[str, tuple[float, Answer]] = {}

    @instead_of(server.resources.update)
    async def noted(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        body = call.json()
        named = body.get("_id") or body.get("id") if isinstance(body, dict) else None
        if resource == "users" and isinstance(named, str) and named != id:
            before = fetch(call, principal, resource, named)
            known[named] = monotonic() + 0.5, before
        return await update(call, principal, resource, id)

    @instead_of(server.resources.fetch)
    def of_a_replica(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        until, before = known.get(id, (0.0, None))
        if before is not None and monotonic() < until:
            return Answer(before.status, before.body, dict(before.headers))
        return fetch(call, principal, resource, id)


# --- the cascade -------------------------------------------------------------------------------


def _only_own_rows(
    server: Server, role: str, credentials: tuple[str, ...] = ("token", "api-key")
) -> None:
    """Let a role do what its own name stands at in the table, and nothing below."""
    permissions = server.permissions
    allows = permissions.allows

    @instead_of(permissions.allows)
    def broken(scopes: frozenset[str], operation: str, credential: str) -> bool:
        if (
            permissions.rank(scopes) == RANK[role]
            and credential in credentials
            and operation in LOWEST_SCOPE
        ):
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


# --- what the decision looks at ----------------------------------------------------------------


@fault("items-unguarded", finding="PERM-fetch-organization")
def items_unguarded(server: Server) -> None:
    """Only collections are guarded; every user who knows an id may fetch, update and delete."""
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
    """A role that may fetch one may list them all: guests list conversations, bots lose forms."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def by_item(call: Call, principal: Principal, operation: str) -> bool:
        if operation.startswith("list-"):
            operation = f"fetch-{RESOURCES[call.resource].singular}"
        return permitted(call, principal, operation)


@fault("fetch-permission-of-the-list", finding="PERM-fetch-conversation")
def fetch_permission_of_the_list(server: Server) -> None:
    """The odd rows are evened out: the roles that may list may fetch, and no others."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def by_list(call: Call, principal: Principal, operation: str) -> bool:
        if operation.startswith("fetch-") and operation != "fetch-user-self":
            operation = f"list-{RESOURCES[call.resource].plural}"
        return permitted(call, principal, operation)


@fault("reads-unguarded", finding="PERM-list-organizations")
def reads_unguarded(server: Server) -> None:
    """The method decides: every token may read everything."""
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
    """A role that may create a thing may update it: agents conversations, guests messages."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def by_create(call: Call, principal: Principal, operation: str) -> bool:
        if operation.startswith("update-") and operation != "update-user-self":
            operation = f"create-{RESOURCES[call.resource].singular}"
        return permitted(call, principal, operation)


@fault("delete-permission-of-update", finding="PERM-delete-message")
def delete_permission_of_update(server: Server) -> None:
    """A role that may update a thing may delete it."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def by_update(call: Call, principal: Principal, operation: str) -> bool:
        if operation.startswith("delete-"):
            operation = operation.replace("delete-", "update-")
        return permitted(call, principal, operation)


@fault("hidden-in-lists-only", finding="SEC-A07")
def hidden_in_lists_only(server: Server) -> None:
    """Lists hide what belongs to another organization; a user who knows its id may fetch it."""
    listing = server.resources.listing
    listed: list[str] = []

    @instead_of(server.resources.listing)
    def own(call: Call, principal: Principal, resource: str) -> Answer:
        listed.append(resource)
        try:
            return listing(call, principal, resource)
        finally:
            listed.pop()

    @instead_of(server.resources.sees_all)
    def by_id(principal: Principal, resource: str) -> bool:
        return not listed

    @instead_of(server.resources.visible)
    def of_own_organization(principal: Principal, resource: str, document: Document) -> bool:
        return document.get("organization") in (None, principal.user.get("organization"))
