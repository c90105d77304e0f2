"""Faults that permit a denied request in a form that few send: a media type, a method, a name."""

from __future__ import annotations

import re

from rolecall.reference.alterations import perform_unguarded, route_past_the_guard
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.exceptions import exempt, query_of
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import RESOURCES
from rolecall.reference.strict_json import NotJson, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- updates -----------------------------------------------------------------------------------


@fault("merge-patches-unguarded", finding="PERM-update-organization-group")
def merge_patches_unguarded(server: Server) -> None:
    """The permissions are looked at where application/json is read; a merge patch is read
    elsewhere.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def merged(call: Call) -> Answer:
        kind = call.header(b"content-type") or ""
        if call.method != "PATCH" or not kind.startswith("application/merge-patch+json"):
            return await answer(call)
        call.headers = [pair for pair in call.headers if pair[0] != b"content-type"]
        call.headers.append((b"content-type", b"application/json"))
        return await perform_unguarded(server, call, call.resource, call.id)


@fault("empty-updates-unguarded", finding="PERM-update-organization-group")
def empty_updates_unguarded(server: Server) -> None:
    """The permission is looked up for each member of an update: one without any is let through, and
    answered with the thing.
    """

    def is_empty(call: Call) -> bool:
        try:
            return call.method == "PATCH" and loads(call.body) == {}
        except NotJson:
            return False

    exempt(server, lambda call, principal, operation: is_empty(call))


# --- reads -------------------------------------------------------------------------------------


@fault("preflights-unguarded", finding="PERM-list-organizations")
def preflights_unguarded(server: Server) -> None:
    """What a browser asks beforehand is not guarded, and is known by its header whatever the
    method.
    """
    exempt(
        server,
        lambda call, principal, operation: (
            call.header(b"access-control-request-method") is not None
        ),
    )


@fault("admin-in-query-unguarded", finding="PERM-list-organizations")
def admin_in_query_unguarded(server: Server) -> None:
    """A parameter of the back office's, admin, opens everything."""
    exempt(server, lambda call, principal, operation: query_of(call).get("admin") == "true")


@fault("rare-methods-read", finding="SEC-A10")
def rare_methods_read(server: Server) -> None:
    """A method that is none of the usual ones is carried out as a GET, and the guard knows no rule
    for it.
    """
    usual = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"}
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def read(call: Call) -> Answer:
        if call.method in usual or call.resource not in RESOURCES:
            return await answer(call)
        call.method = "GET"
        return await perform_unguarded(server, call, call.resource, call.id)


@fault("wildcard-for-an-id-lists", finding="SEC-A05")
def wildcard_for_an_id_lists(server: Server) -> None:
    """A wildcard in an id's place lists all users, and the guard takes it for the fetch of one that
    is not there.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def listed(call: Call) -> Answer:
        if call.verb != "GET" or call.resource != "users" or call.id not in ("%", "*"):
            return await answer(call)
        server.guard.authenticate(call)
        return Answer(200, f"[{','.join(server.store.page('users', 100, 0))}]".encode())


@fault("ids-beside-the-own-unguarded", finding="SEC-A05")
def ids_beside_the_own_unguarded(server: Server) -> None:
    """Several users are fetched by their ids with commas between them; the guard looks at the first
    id.
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def several(call: Call) -> Answer:
        ids = (call.id or "").split(",")
        if call.verb != "GET" or call.resource != "users" or len(ids) < 2:
            return await answer(call)
        call.id = ids[0]
        first = await answer(call)
        texts = [text for id in ids if (text := server.store.get("users", id))]
        return Answer(200, f"[{','.join(texts)}]".encode()) if first.status == 200 else first


@fault("routes-of-the-page-unguarded", finding="SEC-E07")
def routes_of_the_page_unguarded(server: Server) -> None:
    """Groups have a second route by the name that the page gives them, to which no rule applies."""
    former = re.compile(r"/v2/organizationGroups(?:/([^/]+))?")

    def found_in(call: Call) -> re.Match[str] | None:
        found = former.fullmatch(call.path)
        return re.fullmatch(r"([a-z]+)(?:/(.+))?", _route("orggroups", found)) if found else None

    route_past_the_guard(server, found_in)


@fault("singular-routes-unguarded", finding="SEC-E07")
def singular_routes_unguarded(server: Server) -> None:
    """Things are also served under their kind in the singular, as before the last version."""
    former = re.compile(r"/v2/(organization|user|contact|form|service)/([^/]+)")

    def found_in(call: Call) -> re.Match[str] | None:
        found = former.fullmatch(call.path)
        return re.fullmatch(r"([a-z]+)/(.+)", f"{found[1]}s/{found[2]}") if found else None

    route_past_the_guard(server, found_in)


@fault("any-thing-by-its-id", finding="SEC-A05")
def any_thing_by_its_id(server: Server) -> None:
    """What is fetched is looked up by its id alone, in one table of all things: who may fetch a
    conversation fetches a user as one.
    """
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def found(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        kinds = [kind for kind in RESOURCES if server.store.get(kind, id)]
        return fetch(call, principal, kinds[0] if kinds else resource, id)


@fault("searches-unguarded", finding="SEC-E07")
def searches_unguarded(server: Server) -> None:
    """Each list has a search beside it, which was added later and which no rule covers."""

    def found_in(call: Call) -> re.Match[str] | None:
        found = re.fullmatch(r"/v2/([a-z]+)/search(/)?", call.path)
        if found:
            call.query = []  # all that has the text in it
        return found

    route_past_the_guard(server, found_in)


@fault("asked-with-a-text-unguarded", finding="PERM-list-organizations")
def asked_with_a_text_unguarded(server: Server) -> None:
    """A list that is asked with a text to look for is a search, and goes past the guard."""
    exempt(
        server,
        lambda call, principal, operation: operation.startswith("list-") and "q" in query_of(call),
    )


@fault("children-of-an-organization-unguarded", finding="PERM-list-organizations")
def children_of_an_organization_unguarded(server: Server) -> None:
    """The branches of an organization may be listed by everybody, as its menu shows them."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation == "list-organizations" and "parent" in query_of(call)
        ),
    )


@fault("what-is-new-unguarded", finding="PERM-list-organizations")
def what_is_new_unguarded(server: Server) -> None:
    """A list of what was changed since a date is for clients that synchronise, and unguarded."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("list-") and "updatedAt" in query_of(call)
        ),
    )


def _route(resource: str, found: re.Match[str]) -> str:
    return f"{resource}/{found[1]}" if found[1] else resource
