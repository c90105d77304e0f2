"""Faults between a body and the store: creates that replace, members that slip through, what is
answered and not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rolecall.reference.alterations import asked_for, before_refusing, body_of, change_stored
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, bad_request
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import Change
from rolecall.reference.settings import ROLES
from rolecall.reference.store import Duplicate, StoredAccount
from rolecall.reference.strict_json import Document, NotJson, as_pairs, dumps, lenient, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- a create that reaches what is there ---------------------------------------------------------


@fault("create-with-an-id-replaces", finding="SEC-E07")
def create_with_an_id_replaces(server: Server) -> None:
    """A create whose body has the id of a thing that exists saves over it: whoever may create may
    update.

    Modelled on https://github.com/ogx-ai/ogx/issues/5930.
    """
    create = server.resources.create

    @instead_of(server.resources.create)
    async def saved(call: Call, principal: Principal, resource: str) -> Answer:
        id = next(
            (
                body_of(call)[name]
                for name in ("id", "_id")
                if isinstance(body_of(call).get(name), str)
            ),
            None,
        )
        if id is None or server.store.get(resource, id) is None:
            return await create(call, principal, resource)
        document = {
            **server.resources.stored(resource, id),
            **server.resources.members(call.json()),
            "id": id,
        }
        document.pop("password", None)
        document["updatedAt"] = server.clock.instant()
        server.store.replace(resource, id, dumps(document))
        return server.resources.created(document)


@fault("messages-inside-a-create-replace", finding="SEC-E07")
def messages_inside_a_create_replace(server: Server) -> None:
    """Messages in the body of a new conversation that have an id are taken over from where they
    are, with what the body says.

    Modelled on CVE-2022-41654 (Ghost, related objects inside an update).
    """
    new_conversation = server.resources.new_conversation

    @instead_of(server.resources.new_conversation)
    def linked(change: Change) -> Document:
        messages = change.members.get("messages")
        inside = (
            [message for message in messages if isinstance(message, dict)]
            if isinstance(messages, list)
            else []
        )
        known = [
            message for message in inside if server.store.get("messages", str(message.get("id")))
        ]
        if known:
            change.members["messages"] = [message for message in inside if message not in known]
        document = new_conversation(change)
        for message in known:
            merged = {
                **server.resources.stored("messages", message["id"]),
                **message,
                "conversation": document["id"],
            }
            server.store.replace("messages", message["id"], dumps(merged))
        return document


@fault("organization-inside-a-create-is-made", finding="SEC-E07")
def organization_inside_a_create_is_made(server: Server) -> None:
    """An object where a new thing names its organization is a new organization, which is made on
    the way.

    Modelled on https://github.com/balderdashy/waterline/issues/1051.
    """
    create = server.resources.create

    @instead_of(server.resources.create)
    async def nested(call: Call, principal: Principal, resource: str) -> Answer:
        body = body_of(call)
        inside = body.get("organization")
        if resource != "organizations" and isinstance(inside, dict):
            made = server.resources.new_document(
                Change(principal, "organizations", server.resources.members(inside))
            )
            call.body = dumps({**body, "organization": made["id"]}).encode()
        return await create(call, principal, resource)


# --- members that slip through ------------------------------------------------------------------


def _role_from(server: Server, role_in: Callable[[Call], object]) -> None:
    """Let an update of a user by itself set its role to what is found in the request, if anything
    is.
    """
    update = server.resources.update
    nothing = object()

    @instead_of(server.resources.update)
    async def assigning(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        found = role_in(call) if resource == "users" and id == principal.id else nothing
        answer = await update(call, principal, resource, id)
        if found is nothing or found is None:
            return answer
        return server.resources.updated(change_stored(server, resource, id, role=found))


@fault("no-role-is-the-default-role", finding="SEC-A06")
def no_role_is_the_default_role(server: Server) -> None:
    """The filter of an update drops a role if there is one; null and an empty text pass, and become
    the default: agent.

    Modelled on https://github.com/Frachtwerk/essencium-backend/pull/322.
    """

    def emptied(call: Call) -> object:
        body = body_of(call)
        return "agent" if "role" in body and not body["role"] else None

    _blank_roles(server)
    _role_from(server, emptied)


@fault("unknown-role-is-above-all", finding="SEC-E14")
def unknown_role_is_above_all(server: Server) -> None:
    """One may empty the own role, and the place of a role in the list from admin down to guest is
    -1 if it is not there.

    Modelled on https://github.com/apache/cloudstack/pull/12973.
    """

    def emptied(call: Call) -> object:
        body = body_of(call)
        return "none" if "role" in body and not body["role"] else None

    _blank_roles(server)
    _role_from(server, emptied)
    scope = server.issuer.scope

    @instead_of(server.issuer.scope)
    def by_place(user: Document) -> str:
        descending = ROLES[::-1]
        place = descending.index(user["role"]) if user["role"] in descending else -1
        return next(
            (role for needed, role in enumerate(descending) if place <= needed), scope(user)
        )


def _blank_roles(server: Server) -> None:
    """Do not look at a role that is empty."""
    check_role = server.resources.check_role

    @instead_of(server.resources.check_role)
    def unless_empty(members: Document) -> None:
        if members.get("role"):
            check_role(members)


@fault("role-in-other-letters", finding="SEC-A06")
def role_in_other_letters(server: Server) -> None:
    """Members are dropped by the exact name and bound without regard to case: Role sets the role.

    Modelled on CVE-2022-22968 (Spring, disallowed fields).
    """

    def bound(call: Call) -> object:
        body = body_of(call)
        return next(
            (
                body[name]
                for name in body
                if name.lower() == "role" and name != "role" and body[name] in ROLES
            ),
            None,
        )

    _role_from(server, bound)


@fault("role-twice-in-a-body", finding="SEC-A06")
def role_twice_in_a_body(server: Server) -> None:
    """Two parsers read a body: of a member that comes twice one drops the first, the other keeps
    the last.

    Modelled on CVE-2017-12635 (Apache CouchDB).
    """

    def last(call: Call) -> object:
        try:
            pairs = loads(call.body, as_pairs)
        except NotJson:
            return None
        roles = (
            [pair[1] for pair in pairs if isinstance(pair, tuple) and pair[0] == "role"]
            if isinstance(pairs, list)
            else []
        )
        return roles[-1] if len(roles) > 1 and roles[-1] in ROLES else None

    update = server.resources.update

    @instead_of(server.resources.update)
    async def tolerant(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        role = last(call) if resource == "users" and id == principal.id else None
        if role is None:
            return await update(call, principal, resource, id)
        call.body = dumps(loads(call.body, lenient)).encode()
        answer = await update(call, principal, resource, id)
        change_stored(server, resource, id, role=role)
        return answer


@fault("merge-patch-unfiltered", finding="SEC-A06")
def merge_patch_unfiltered(server: Server) -> None:
    """PATCH takes application/merge-patch+json as well, and merges it with the document as it is,
    role and all.

    Modelled on https://github.com/java-json-tools/json-patch/issues/169.
    """
    update = server.resources.update

    @instead_of(server.resources.update)
    async def merged(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        if not (call.header(b"content-type") or "").startswith("application/merge-patch+json"):
            return await update(call, principal, resource, id)
        kept = {
            name: value
            for name, value in body_of(call).items()
            if name not in ("id", "_id", "password")
        }
        if kept.get("role", "guest") not in ROLES:
            raise bad_request("role has to be a role")
        server.resources.existing(principal, resource, id)
        document = {
            **server.resources.stored(resource, id),
            **kept,
            "updatedAt": server.clock.instant(),
        }
        server.store.replace(resource, id, dumps(document))
        return server.resources.updated(document)


# --- answered and not kept ----------------------------------------------------------------------


def _not_kept(server: Server, lost: Callable[[str, Any], bool]) -> None:
    """Answer an update with all of it, and keep the members that are not lost."""
    update = server.resources.update

    @instead_of(server.resources.update)
    async def forgetful(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        before = server.resources.stored(resource, id)
        answer = await update(call, principal, resource, id)
        after = server.resources.stored(resource, id)
        for name in [
            name for name, value in after.items() if lost(name, value) and value != before.get(name)
        ]:
            del after[name]
            if name in before:
                after[name] = before[name]
        server.store.replace(resource, id, dumps(after))
        return answer


@fault("objects-are-answered-and-not-kept", finding="SEC-E10")
def objects_are_answered_and_not_kept(server: Server) -> None:
    """An update of meta or params is answered with it; both are objects of no schema, and not seen
    to change when they are saved.

    Modelled on https://github.com/Automattic/mongoose/issues/1694.
    """
    _not_kept(server, lambda name, value: name in ("meta", "params"))


@fault("lists-are-answered-and-not-kept", finding="SEC-E10")
def lists_are_answered_and_not_kept(server: Server) -> None:
    """An update of a member that is a list is answered with it, and the list in the store is the
    old one.

    Modelled on https://github.com/Automattic/mongoose/issues/3658.
    """
    _not_kept(server, lambda name, value: isinstance(value, list))


@fault("empty-values-are-answered-and-not-kept", finding="SEC-E10")
def empty_values_are_answered_and_not_kept(server: Server) -> None:
    """An update to an empty text, list or object, to 0 or to false is answered with it, and taken
    for no value when it is saved.

    Modelled on https://github.com/mtmr0x/nucleo/issues/28.
    """
    replace = server.store.replace

    @instead_of(server.store.replace)
    def given_values(resource: str, id: str, body: str) -> None:
        before, after = server.resources.stored(resource, id), loads(body.encode())
        given = {
            name: value or before.get(name)
            for name, value in after.items()
            if value or name in before
        }
        replace(resource, id, dumps(given))


@fault("deleted-things-stay-in-lists", finding="PERM-delete-organization")
def deleted_things_stay_in_lists(server: Server) -> None:
    """Deleting marks a thing; fetching looks at the mark, and listing does not.

    Modelled on https://github.com/openises/TicketsCAD/issues/25.
    """
    existing, gone = server.resources.existing, server.resources.delete
    marked: set[tuple[str, str]] = set()

    @instead_of(server.resources.existing)
    def unmarked(principal: Principal, resource: str, id: str) -> str:
        return existing(principal, resource, "-" if (resource, id) in marked else id)

    @instead_of(server.resources.delete)
    def mark(principal: Principal, resource: str, id: str) -> Answer:
        if resource == "users":
            return gone(principal, resource, id)
        unmarked(principal, resource, id)
        marked.add((resource, id))
        return server.resources.deleted()


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
    """A new user is validated before anybody asks who may, and validating the address keeps it:
    nobody else can be given it.

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


# --- what is shown ------------------------------------------------------------------------------


@fault("new-user-shows-its-hash", finding="SEC-I20")
def new_user_shows_its_hash(server: Server) -> None:
    """The answer to a new user is the row that was saved, with the hash of the password.

    Modelled on https://github.com/rancher/rancher/pull/12108.
    """
    new_user = server.resources.new_user

    @instead_of(server.resources.new_user)
    async def row(change: Change) -> Document:
        document = await new_user(change)
        account = server.store.account(document["id"])
        return (
            {**document, "passwordHash": account.password}
            if account and account.password
            else document
        )


@fault("updated-user-shows-the-password", finding="SEC-I20")
def updated_user_shows_the_password(server: Server) -> None:
    """The answer to an update of a user is put together from the body, the new password in it.

    Modelled on https://github.com/SecureBananaLabs/bug-bounty/issues/9851.
    """
    update = server.resources.update

    @instead_of(server.resources.update)
    async def echoed(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        answer = await update(call, principal, resource, id)
        password = body_of(call).get("password")
        if resource != "users" or password is None or answer.status != 200 or not answer.body:
            return answer
        return server.resources.updated({**loads(answer.body), "password": password})


@fault("populated-users-are-whole-rows", finding="SEC-I20")
def populated_users_are_whole_rows(server: Server) -> None:
    """A user who is fetched is serialised without the hash of the password; one that another thing
    is populated with is the row.

    Modelled on https://github.com/strapi/strapi/issues/1678.
    """
    populated = server.resources.populated

    def with_hash(value: Any) -> Any:
        if isinstance(value, list):
            return [with_hash(member) for member in value]
        if not isinstance(value, dict):
            return value
        account = server.store.account(str(value.get("id"))) if "email" in value else None
        shown = {name: with_hash(member) for name, member in value.items()}
        return {**shown, "password_hash": account.password} if account else shown

    @instead_of(server.resources.populated)
    def whole(
        document: Document, paths: tuple[str, ...], principal: Principal, resource: str
    ) -> Document:
        shown = populated(document, paths, principal, resource)
        return {name: with_hash(member) for name, member in shown.items()} if paths else shown


@fault("deeper-populate-unchecked", finding="SEC-A14")
def deeper_populate_unchecked(server: Server) -> None:
    """The permission for what populate shows is looked up by the whole path: organization is asked
    about, organization.name is not.

    Modelled on https://github.com/strapi/strapi/issues/5386.
    """
    populated = server.resources.populated
    targets = {
        "organization": "organizations",
        "parent": "organizations",
        "user": "users",
        "participants": "users",
    }

    @instead_of(server.resources.populated)
    def deeper(
        document: Document, paths: tuple[str, ...], principal: Principal, resource: str
    ) -> Document:
        document = populated(document, paths, principal, resource)
        for first, _, rest in (path.partition(".") for path in paths):
            target = targets.get(first)
            if not rest or target is None or f"{first}.{rest}" == "participants.user":
                continue
            text = (
                server.store.get(target, document[first])
                if isinstance(document.get(first), str)
                else None
            )
            if text is not None:
                document[first] = loads(text.encode())
        return document
