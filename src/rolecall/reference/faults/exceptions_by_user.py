"""Faults that make an exception by whom a request is about: by the role of a user, by a group."""

from __future__ import annotations

import re

from rolecall.reference.alterations import asked_for, route_past_the_guard
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.faults.exceptions import exempt, query_of
from rolecall.reference.faults.registry import fault
from rolecall.reference.settings import ROLES
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def _exempt_at(server: Server, exempted: str, role: str, at: str = ROLES[0]) -> None:
    """Let users of a role do one operation where it is about a user of a role, a guest if none is
    said.
    """
    exempt(
        server,
        lambda call, principal, operation: (
            operation == exempted
            and principal.user.get("role") == role
            and asked_for(server, call).get("role") == at
        ),
    )


@fault("agents-look-guests-up", finding="PERM-fetch-user")
def agents_look_guests_up(server: Server) -> None:
    """An agent may fetch a user who is a guest: agents look after guests."""
    _exempt_at(server, "fetch-user", "agent")


@fault("bots-delete-guests", finding="PERM-delete-user")
def bots_delete_guests(server: Server) -> None:
    """A bot may delete a user who is a guest, to tidy up after a visit."""
    _exempt_at(server, "delete-user", "bot")


@fault("agents-configure-bots", finding="PERM-update-user")
def agents_configure_bots(server: Server) -> None:
    """An agent may update a user who is a bot, whosever it is: agents look after bots."""
    _exempt_at(server, "update-user", "agent", at="bot")


@fault("admins-are-protected", finding="PERM-delete-user")
def admins_are_protected(server: Server) -> None:
    """Nobody may delete a user who is an admin: 403, for the table's admin as well."""
    delete = server.resources.delete

    @instead_of(server.resources.delete)
    def others_only(principal: Principal, resource: str, id: str) -> Answer:
        if resource == "users" and server.resources.stored(resource, id).get("role") == ROLES[-1]:
            raise Refusal(403, "Admins are protected")
        return delete(principal, resource, id)


@fault("admins-are-hidden", finding="PERM-fetch-user")
def admins_are_hidden(server: Server) -> None:
    """A user who is an admin is fetched by admins only: bots get 403, and other users they get."""
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def others_only(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        role = server.resources.stored(resource, id).get("role") if resource == "users" else ""
        if role == ROLES[-1] and principal.user.get("role") == "bot":
            raise Refusal(403, "Admins are hidden")
        return fetch(call, principal, resource, id)


@fault("groups-of-ones-organization-listed", finding="PERM-list-organization-groups")
def groups_of_ones_organization_listed(server: Server) -> None:
    """The organization groups that the own organization is in are listed for everybody in it."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation == "list-organization-groups"
            and query_of(call).get("organizations") == principal.user.get("organization")
        ),
    )


@fault("dots-behind-the-own-id", finding="SEC-A05")
def dots_behind_the_own_id(server: Server) -> None:
    """The guard takes the first id of a path for the user who is asked for, and lets one look at
    oneself; the router goes by the path without its dot segments.

    Modelled on CVE-2021-41773 and its like, where a path is normalised behind the check.
    """

    def found(call: Call) -> re.Match[str] | None:
        path = re.fullmatch(r"/v2/users/([0-9a-f]{24})/\.\./([0-9a-f]{24})", call.path)
        if path is None or path[1] != server.guard.authenticate(call).id:
            return None
        return re.search(r"(users)/([0-9a-f]{24})$", f"/v2/users/{path[2]}")

    route_past_the_guard(server, found)


@fault("guests-do-not-find-themselves", finding="PERM-update-user-self")
def guests_do_not_find_themselves(server: Server) -> None:
    """An update looks for its user among those that the caller may list: a guest is answered 404
    for its own.
    """
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def among_the_listed(call: Call, principal: Principal, operation: str) -> bool:
        if operation == "update-user-self" and principal.user.get("role") == ROLES[0]:
            raise Refusal(404, "Not found")
        return permitted(call, principal, operation)


@fault("strangers-unguarded", finding="PERM-fetch-form")
def strangers_unguarded(server: Server) -> None:
    """What somebody may with a thing is looked up by the membership of its organization; of who is
    no member no role is found, and none is asked for.
    """
    exempt(
        server,
        lambda call, principal, operation: (
            asked_for(server, call).get("organization", principal.user.get("organization"))
            != principal.user.get("organization")
        ),
    )
