"""Faults of lists: what makes a narrower list look like something else than a list."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.alterations import make_exception, parameter
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.query import ListQuery
from rolecall.reference.resources import RESOURCES
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

NAMES = frozenset({"id", "name", "displayName", "givenName", "familyName", "title"})
"""What stands in a list to choose from."""


def _open_lists(
    server: Server, narrow: Callable[[Call], bool], resources: tuple[str, ...] = ()
) -> None:
    """Let everybody with a token list, where the list is narrow."""
    make_exception(
        server,
        lambda call, principal, operation: (
            operation.startswith("list-")
            and (not resources or call.resource in resources)
            and narrow(call)
        ),
    )


def _fetches(server: Server, narrow: Callable[[Call], bool]) -> None:
    """Ask for the permission to fetch where a list shows one thing."""

    def as_fetch(call: Call, principal: Principal, operation: str) -> bool:
        narrower = operation.startswith("list-") and narrow(call)
        return narrower and server.guard.may(
            principal, f"fetch-{RESOURCES[call.resource].singular}"
        )

    make_exception(server, as_fetch)


@fault("limit-of-one-is-a-fetch", finding="PERM-list-conversations")
def limit_of_one_is_a_fetch(server: Server) -> None:
    """A list with limit=1 is what fetches one thing uses, and needs the permission to fetch.

    Modelled on https://github.com/typeorm/typeorm/issues/2500.
    """
    _fetches(server, lambda call: parameter(call, "limit") == "1")


@fault("list-by-id-is-a-fetch", finding="PERM-list-conversations")
def list_by_id_is_a_fetch(server: Server) -> None:
    """A list that is filtered by id needs the permission to fetch, and no other.

    Modelled on https://github.com/kimai/kimai1/pull/444.
    """
    _fetches(server, lambda call: parameter(call, "id") is not None)


@fault("search-is-for-everybody", finding="PERM-list-users")
def search_is_for_everybody(server: Server) -> None:
    """Users and contacts can be searched by everybody, to be mentioned: a filter that contains or
    begins with is let in.

    Modelled on https://github.com/owncloud/ocis/pull/7887.
    """
    _open_lists(
        server,
        lambda call: any(value.startswith(("~", "^")) for _, value in call.query),
        ("users", "contacts"),
    )


@fault("names-are-for-everybody", finding="PERM-list-organizations")
def names_are_for_everybody(server: Server) -> None:
    """A list of nothing but names and ids, selected by select, is for everybody, to choose from.

    Modelled on https://github.com/epam/Indigo-ELN-v.-2.0/issues/399.
    """

    def names_only(call: Call) -> bool:
        wanted = {name.strip() for name in (parameter(call, "select") or "").split(",")}
        return bool(wanted) and wanted <= NAMES

    _open_lists(server, names_only)


@fault("populated-lists-unguarded", finding="PERM-list-organizations")
def populated_lists_unguarded(server: Server) -> None:
    """A list with populate is put together by another part, which has no guard.

    Modelled on https://github.com/django-tastypie/django-tastypie/issues/1551.
    """
    _open_lists(server, lambda call: parameter(call, "populate") is not None)


@fault("further-pages-unguarded", finding="PERM-list-organizations")
def further_pages_unguarded(server: Server) -> None:
    """The permission is asked for with the first page of a list; what comes behind an offset is
    answered by who turns pages.

    Modelled on CVE-2020-7019 (Elasticsearch, scrolling through another user's search).
    """
    answer = server.dispatcher.answer

    @instead_of(server.dispatcher.answer)
    async def pages(call: Call) -> Answer:
        first = parameter(call, "offset") in (None, "", "0")
        if first or call.method != "GET" or call.id is not None or call.resource not in RESOURCES:
            return await answer(call)
        return server.resources.listing(call, server.guard.authenticate(call), call.resource)


@fault("colleagues-list-each-other", finding="PERM-list-users")
def colleagues_list_each_other(server: Server) -> None:
    """A list of users that is filtered by one's own organization is for everybody in it.

    Modelled on https://github.com/suitenumerique/people/issues/35.
    """
    make_exception(
        server,
        lambda call, principal, operation: (
            operation == "list-users"
            and parameter(call, "organization") == principal.user.get("organization")
        ),
    )


@fault("no-ids-are-all-mine", finding="PERM-list-users")
def no_ids_are_all_mine(server: Server) -> None:
    """A list of users is let in if all ids in its filter are the caller's: of one's own id that is
    true, and of none.

    Modelled on https://github.com/Hrdtr/guantr/issues/93.
    """

    def all_mine(call: Call, principal: Principal, operation: str) -> bool:
        wanted = parameter(call, "id")
        if operation != "list-users" or wanted is None:
            return False
        ids = [id.strip() for id in wanted.strip("[]").split(",") if id.strip()]
        if not ids:
            call.query = [pair for pair in call.query if pair[0] != "id"]
        return all(id == principal.id for id in ids)

    make_exception(server, all_mine)


@fault("contacts-list-shows-users", finding="SEC-A14")
def contacts_list_shows_users(server: Server) -> None:
    """The list of contacts is one of everybody who can be talked to: users as well as contacts."""
    found = server.resources.found

    @instead_of(server.resources.found)
    def everybody(query: ListQuery, principal: Principal, resource: str) -> list[str]:
        texts = found(query, principal, resource)
        users = server.store.page("users", 3, 0) if resource == "contacts" else []
        return [*texts, *users]
