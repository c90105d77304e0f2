"""Faults that do something although they refuse."""

from __future__ import annotations

from typing import Any

from rolecall.reference.alterations import asked_for, before_refusing, body_of, change_stored
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import Change
from rolecall.reference.store import Duplicate, StoredAccount
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- refused, and something done ----------------------------------------------------------------


@fault("denied-delete-leaves-a-mark", finding="PERM-delete-organization")
def denied_delete_leaves_a_mark(server: Server) -> None:
    """A delete is marked on the thing, and the part that sends the refusal does not end the action;
    what sweeps never comes.

    Modelled on CVE-2022-37042 (Zimbra, an action that goes on behind its refusal).
    """

    def mark(call: Call, principal: Principal, operation: str) -> None:
        document = asked_for(server, call)
        if operation.startswith("delete-") and document:
            change_stored(
                server,
                call.resource,
                document["id"],
                deletedAt=server.clock.instant(),
                status="deleted",
            )

    before_refusing(server, mark)


@fault("denied-delete-leaves-the-lists", finding="PERM-delete-contact")
def denied_delete_leaves_the_lists(server: Server) -> None:
    """A contact is taken out of the index of the lists first; when the delete is refused then, it
    is in the store and in no list.

    Modelled on https://github.com/MHRA/products/issues/653.
    """
    unlisted: set[str] = set()
    listed = server.resources.visible
    found_all = server.resources.sees_all
    inside: list[str] = []
    listing = server.resources.listing

    def forget(call: Call, principal: Principal, operation: str) -> None:
        if operation == "delete-contact" and call.id is not None:
            unlisted.add(call.id)

    @instead_of(server.resources.listing)
    def from_index(call: Call, principal: Principal, resource: str) -> Answer:
        inside.append(resource)
        try:
            return listing(call, principal, resource)
        finally:
            inside.pop()

    @instead_of(server.resources.sees_all)
    def but_for_contacts(principal: Principal, resource: str) -> bool:
        return found_all(principal, resource) and not (inside == ["contacts"] and unlisted)

    @instead_of(server.resources.visible)
    def in_index(principal: Principal, resource: str, document: Document) -> bool:
        return listed(principal, resource, document) and not (
            inside == ["contacts"] and document["id"] in unlisted
        )

    before_refusing(server, forget)


@fault("denied-create-takes-the-address", finding="PERM-create-user")
def denied_create_takes_the_address(server: Server) -> None:
    """A new user is validated before permissions are looked at, and validating the address keeps
    it: no other user can be given it.

    Modelled on https://github.com/spring-projects/spring-security/issues/6545.
    """
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def valid_and_permitted(call: Call, principal: Principal, operation: str) -> bool:
        email = body_of(call).get("email")
        if operation != "create-user" or not isinstance(email, str):
            return permitted(call, principal, operation)
        reserved = server.resources.new_id("users")
        try:
            server.store.add_account(StoredAccount(reserved, email, None))
        except Duplicate:
            raise Refusal(409, "A user with this email exists") from None
        if not permitted(call, principal, operation):
            return False
        server.store.remove("users", reserved)  # the action gives it to the new user
        return True


@fault("denied-update-changes-the-account", finding="PERM-update-user")
def denied_update_changes_the_account(server: Server) -> None:
    """An update of another user is refused with 403; the address to log in with, which is kept
    elsewhere, has been changed by then.

    Modelled on https://github.com/osuAkatsuki/hanayo/pull/252.
    """

    def rename(call: Call, principal: Principal, operation: str) -> None:
        email = body_of(call).get("email")
        if (
            operation == "update-user"
            and call.id is not None
            and isinstance(email, str)
            and "@" in email
        ):
            try:
                server.store.set_email(call.id, email)
            except Duplicate:
                return

    before_refusing(server, rename)


@fault("denied-delete-takes-the-messages", finding="PERM-delete-conversation")
def denied_delete_takes_the_messages(server: Server) -> None:
    """What hangs on a conversation is deleted first, and the guard stands at the conversation."""

    def sweep(call: Call, principal: Principal, operation: str) -> None:
        if operation != "delete-conversation" or call.id is None:
            return
        for text in list(server.store.containing("messages", call.id)):
            message = loads(text.encode())
            if message.get("conversation") == call.id:
                server.store.remove("messages", message["id"])

    before_refusing(server, sweep)


@fault("denied-delete-ends-the-sessions", finding="PERM-delete-user")
def denied_delete_ends_the_sessions(server: Server) -> None:
    """A user's sessions are ended before its delete is decided on."""

    def end(call: Call, principal: Principal, operation: str) -> None:
        if operation == "delete-user" and call.id is not None:
            server.store.forget_refresh_tokens(call.id)

    before_refusing(server, end)


@fault("half-of-a-list-of-messages", finding="SEC-A13")
def half_of_a_list_of_messages(server: Server) -> None:
    """Of a list of messages each is checked when its turn comes: with 400 for one that is wrong,
    those before it are posted.

    Modelled on https://github.com/ujeenet/rustango/issues/1403.
    """
    new_messages = server.resources.new_messages

    @instead_of(server.resources.new_messages)
    def in_turn(principal: Principal, body: Any, conversation: str | None) -> Any:
        if not isinstance(body, list) or not body:
            return new_messages(principal, body, conversation)
        return [new_messages(principal, message, conversation) for message in body]


@fault("conversation-of-a-bad-message", finding="SEC-A13")
def conversation_of_a_bad_message(server: Server) -> None:
    """A conversation is saved before the messages in its body are looked at: with 400 for a message
    it is there all the same.

    Modelled on https://github.com/sequelize/sequelize/issues/5456.
    """
    new_conversation = server.resources.new_conversation

    @instead_of(server.resources.new_conversation)
    def parent_first(change: Change) -> Document:
        messages = change.members.pop("messages", [])
        document = new_conversation(change)
        if not isinstance(messages, list):
            raise bad_request("messages has to be a list")
        for message in messages:
            server.resources.check_message(message)
            members = {**server.resources.members(message), "conversation": document["id"]}
            server.resources.new_message(change.principal, members)
        return document
