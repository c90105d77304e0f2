"""Faults that make an exception from a denial: for own things, for oneself, for a narrower list."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from rolecall.reference.alterations import (
    Exemption,
    asked_for,
    make_exception,
    note_makers,
)
from rolecall.reference.app import Server
from rolecall.reference.call import Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def exempt(server: Server, applies: Exemption) -> None:
    """Permit more than the table does, to callers with a time-based token."""
    make_exception(
        server,
        lambda call, principal, operation: (
            principal.credential == "token" and applies(call, principal, operation)
        ),
    )


def query_of(call: Call) -> dict[str, str]:
    """The query of a request; of a parameter that comes twice, the last value."""
    return dict(call.query)


# --- one's own things --------------------------------------------------------------------------


@fault("makers-delete-their-own", finding="PERM-delete-conversation")
def makers_delete_their_own(server: Server) -> None:
    """The user who has made a thing may delete it, whatever the role; API keys may not."""
    makers = note_makers(server)
    exempt(
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
    exempt(
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

    exempt(server, began)


@fault("own-conversations-messages-listed", finding="PERM-list-messages")
def own_conversations_messages_listed(server: Server) -> None:
    """Who began a conversation may list its messages."""

    def began(call: Call, principal: Principal, operation: str) -> bool:
        if operation != "list-messages":
            return False
        conversation = server.resources.stored(
            "conversations", query_of(call).get("conversation", "")
        )
        participants: list[Document] = conversation.get("participants") or [{}]
        return participants[0].get("user") == principal.id

    exempt(server, began)


@fault("own-organization-fetched", finding="PERM-fetch-organization")
def own_organization_fetched(server: Server) -> None:
    """Everybody may fetch the organization of the own user."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation == "fetch-organization" and call.id == principal.user.get("organization")
        ),
    )


@fault("own-organization-updated", finding="PERM-update-organization")
def own_organization_updated(server: Server) -> None:
    """The members of an organization may update it."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation == "update-organization" and call.id == principal.user.get("organization")
        ),
    )


# --- oneself -----------------------------------------------------------------------------------


@fault("list-of-oneself-unguarded", finding="PERM-list-users")
def list_of_oneself_unguarded(server: Server) -> None:
    """A list of users by one's own id is open to everybody, for it can only show oneself."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation == "list-users" and query_of(call).get("id") == principal.id
        ),
    )


@fault("self-by-id-in-body", finding="SEC-A05")
def self_by_id_in_body(server: Server) -> None:
    """A user who names the own id in the body of an update is taken for the user who is updated.

    Modelled on a check of the body's id beside a path variable, the kind of OWASP API1:2023, broken
    object level authorization.
    """

    def named(call: Call, principal: Principal, operation: str) -> bool:
        body = call.json() if operation == "update-user" and call.body else None
        return isinstance(body, dict) and principal.id in (body.get("id"), body.get("_id"))

    exempt(server, named)


@fault("self-by-parameter", finding="SEC-A05")
def self_by_parameter(server: Server) -> None:
    """Parameters of the query win over those of the path when the own user is recognised."""
    exempt(
        server,
        lambda call, principal, operation: (
            operation in ("fetch-user", "update-user")
            and principal.id in (query_of(call).get("id"), query_of(call).get("user"))
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
    """A user whose address begins with the own local part counts as oneself (plus-addresses).

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


# --- narrower lists ----------------------------------------------------------------------------


def _open_list(server: Server, applies: Callable[[dict[str, str], Principal], bool]) -> None:
    exempt(
        server,
        lambda call, principal, operation: (
            operation.startswith("list-") and applies(query_of(call), principal)
        ),
    )


@fault("list-by-id-unguarded", finding="PERM-list-organizations")
def list_by_id_unguarded(server: Server) -> None:
    """A list that is filtered by an id is handled as a fetch, which was thought to be guarded."""
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
