"""The nine resources and what can be done with them.

Longer than 400 lines because each decision that a switch replaces is a method of one object.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from rolecall.reference.call import Answer, Call
from rolecall.reference.clock import Clock
from rolecall.reference.errors import Refusal, bad_request, not_found
from rolecall.reference.guard import Guard
from rolecall.reference.passwords import Passwords
from rolecall.reference.permissions import CHANGE_ROLES
from rolecall.reference.query import ListQuery
from rolecall.reference.settings import ROLES
from rolecall.reference.store import Duplicate, Store, StoredAccount
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.tokens import Principal

LONGEST_PASSWORD = 1024
MOST_AT_ONCE = 100

_ID = re.compile(r"[0-9a-f]{24}")
_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class StoredResource:
    """One kind of document."""

    path: str
    singular: str
    plural: str
    required: tuple[str, ...] = ()
    list_needs: frozenset[str] = frozenset()


RESOURCES: dict[str, StoredResource] = {
    resource.path: resource
    for resource in (
        StoredResource("organizations", "organization", "organizations", ("name",)),
        StoredResource("orggroups", "organization-group", "organization-groups", ("name",)),
        StoredResource("users", "user", "users", ("email",)),
        StoredResource("conversations", "conversation", "conversations"),
        StoredResource(
            "messages",
            "message",
            "messages",
            ("text",),
            frozenset({"id", "organization", "conversation", "type", "role", "createdAt"}),
        ),
        StoredResource("contacts", "contact", "contacts"),
        StoredResource("kbitems", "knowledge-item", "knowledge-items"),
        StoredResource("forms", "form", "forms", ("name",)),
        StoredResource("services", "service", "services", ("name",)),
    )
}

TEXTS = frozenset(
    {
        "name",
        "displayName",
        "givenName",
        "familyName",
        "email",
        "title",
        "text",
        "status",
        "contentType",
    }
    | {"organization", "conversation"}
)
OBJECTS = frozenset({"meta", "params", "profile"})
LISTS = frozenset(
    {"tags", "fields", "participants", "actions", "items", "stopwords", "whitelist", "categories"}
)

META_NEEDS = frozenset(
    {
        "id",
        "type",
        "participants.user",
        "status",
        "createdAt",
        "updatedAt",
        "category",
        "categoryIndex",
    }
    | {"organization"}
)
"""A list of conversations filtered by a meta variable needs one of these as well."""

OWN_PROFILE = frozenset(
    {"givenName", "familyName", "name", "displayName", "avatar", "title", "meta"}
    | {"locale", "language", "timezone", "telephone"}
)
"""What a user below admin may change of its own user; everything else in such a request is ignored.
"""

POPULATED = {
    "organization": ("organizations", "fetch-organization"),
    "parent": ("organizations", "fetch-organization"),
    "user": ("users", "fetch-user"),
    "participants.user": ("users", "fetch-user"),
    "contact": ("contacts", "fetch-contact"),
    "conversation": ("conversations", "fetch-conversation"),
    "categories.forms": ("forms", "fetch-form"),
    "forms": ("forms", "fetch-form"),
}
"""The paths `populate` knows, and the operation that the caller needs for what would appear."""


def new_id() -> str:
    """24 lowercase hexadecimal digits."""
    return secrets.token_hex(12)


@dataclass(frozen=True)
class Change:
    """What is to be created, and by whom."""

    principal: Principal
    resource: str
    members: Document


class Resources:
    """Lists, fetches, creates, updates and deletes; who may has been decided before."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        passwords: Passwords,
        guard: Guard,
    ) -> None:
        self.store = store
        self.clock = clock
        self.passwords = passwords
        self.guard = guard

    # reading

    def listing(self, call: Call, principal: Principal, resource: str) -> Answer:
        """A bare array."""
        query = ListQuery.parse(call.query)
        self.check_filters(query, RESOURCES[resource])
        texts = self.found(query, principal, resource)
        size = self.page_size(query)
        answer = Answer(200, f"[{','.join(texts[:size])}]".encode())
        if len(texts) > size:
            answer.headers["Link"] = self.link(call, query)
        return answer

    def found(self, query: ListQuery, principal: Principal, resource: str) -> list[str]:
        """The texts of one page, and one more if the list goes on."""
        limit, offset = self.page_size(query) + 1, query.offset
        if query.plain and self.sees_all(principal, resource):
            return self.store.page(resource, limit, offset)
        needles = [text for condition in query.filters if (text := condition.text)]
        documents = [
            document
            for text in self.store.containing(resource, *needles)
            if self.visible(principal, resource, document := loads(text.encode()))
            and all(condition.matches(document) for condition in query.filters)
        ]
        page = query.sorted(documents)[offset : offset + limit]
        return [
            dumps(query.selected(self.populated(document, query.populate, principal, resource)))
            for document in page
        ]

    def page_size(self, query: ListQuery) -> int:
        """How many documents a page holds."""
        return query.limit

    def sees_all(self, principal: Principal, resource: str) -> bool:
        """Whether the caller sees everything of this kind; the specification hides nothing."""
        return True

    def visible(self, principal: Principal, resource: str, document: Document) -> bool:
        """Whether the caller can see this one; the specification hides nothing."""
        return True

    def check_filters(self, query: ListQuery, resource: StoredResource) -> None:
        """Some lists are too long to be asked for without a filter."""
        names = {".".join(condition.path) for condition in query.filters}
        if resource.list_needs and not names & resource.list_needs:
            raise bad_request(
                f"One of these filters is needed: {', '.join(sorted(resource.list_needs))}"
            )
        by_meta = resource.path == "conversations" and any(
            name.startswith("meta.") for name in names
        )
        if by_meta and not names & META_NEEDS:
            raise bad_request("A filter on meta needs another one beside it")

    def link(self, call: Call, query: ListQuery) -> str:
        """Where the list goes on (RFC 8288)."""
        size = self.page_size(query)
        pairs = [(name, value) for name, value in call.query if name not in ("limit", "offset")]
        pairs += [("limit", str(size)), ("offset", str(query.offset + size))]
        return f'<{call.base_url}{call.path}?{urlencode(pairs)}>; rel="next"'

    def fetch(self, call: Call, principal: Principal, resource: str, id: str) -> Answer:
        """One document."""
        text = self.existing(principal, resource, id)
        if call.query:
            query = ListQuery.parse(
                [pair for pair in call.query if pair[0] in ("select", "populate")]
            )
            document = loads(text.encode())
            text = dumps(
                query.selected(self.populated(document, query.populate, principal, resource))
            )
        return Answer(200, text.encode())

    def existing(self, principal: Principal, resource: str, id: str) -> str:
        """The text of a document that is there, for this caller."""
        text = self.store.get(resource, id) if self.is_id(id) else None
        if text is None:
            raise not_found(
                "Conversation not found" if resource == "conversations" else "Not found"
            )
        if not self.sees_all(principal, resource) and not self.visible(
            principal, resource, loads(text.encode())
        ):
            raise not_found(
                "Conversation not found" if resource == "conversations" else "Not found"
            )
        return text

    def populated(
        self, document: Document, paths: tuple[str, ...], principal: Principal, resource: str
    ) -> Document:
        """Ids replaced by what they name, as far as the caller may fetch that."""
        for path in paths:
            if path == "messages" and resource == "conversations":
                if self.guard.may(principal, "fetch-message"):
                    document["messages"] = self._messages(document["id"])
            elif path in POPULATED:
                target, operation = POPULATED[path]
                if self.guard.may(principal, operation):
                    self._replace_ids(document, path.split("."), target)
        return document

    def _messages(self, conversation: str) -> list[Document]:
        found = (loads(text.encode()) for text in self.store.containing("messages", conversation))
        return [message for message in found if message["conversation"] == conversation]

    def _replace_ids(self, value: Any, path: list[str], resource: str) -> None:
        if isinstance(value, list):
            for member in value:
                self._replace_ids(member, path, resource)
        elif isinstance(value, dict) and path[0] in value:
            if len(path) > 1:
                self._replace_ids(value[path[0]], path[1:], resource)
            elif isinstance(value[path[0]], list):
                value[path[0]] = [self._document(member, resource) for member in value[path[0]]]
            else:
                value[path[0]] = self._document(value[path[0]], resource)

    def _document(self, value: Any, resource: str) -> Any:
        text = self.store.get(resource, value) if isinstance(value, str) else None
        return loads(text.encode()) if text else value

    # writing

    async def create(self, call: Call, principal: Principal, resource: str) -> Answer:
        """201 with the whole new document."""
        if call.conversation is not None:
            self.existing(principal, "conversations", call.conversation)
        body = call.json()
        if resource == "messages":
            return self.created(self.new_messages(principal, body, call.conversation))
        change = Change(principal, resource, self.members(body))
        self.check_required(RESOURCES[resource], change.members)
        self.check_types(change.members)
        if resource == "users":
            document = await self.new_user(change)
        elif resource == "conversations":
            document = self.new_conversation(change)
        else:
            document = self.new_document(change)
        return self.created(document)

    def created(self, document: Any) -> Answer:
        """The answer to a create."""
        return Answer.of(201, document)

    def members(self, body: Any) -> Document:
        """The members of a body that are the client's to set."""
        if not isinstance(body, dict):
            raise bad_request("The body has to be an object")
        if any(name.startswith("$") or "." in name or "\0" in name for name in body):
            raise bad_request("A member's name is not allowed")
        return {name: value for name, value in body.items() if name not in self.server_managed()}

    def server_managed(self) -> frozenset[str]:
        """What only the server sets."""
        return frozenset({"id", "_id", "createdAt", "updatedAt"})

    def check_required(self, resource: StoredResource, members: Document) -> None:
        """What a new document cannot be without."""
        for name in resource.required:
            if not members.get(name):
                raise bad_request(f"{name} is required")

    def check_types(self, members: Document) -> None:
        """The types of the fields that are known."""
        for name, value in members.items():
            if name in TEXTS and not isinstance(value, str):
                raise bad_request(f"{name} has to be a text")
            if name in OBJECTS and not isinstance(value, dict):
                raise bad_request(f"{name} has to be an object")
            if name in LISTS and not isinstance(value, list):
                raise bad_request(f"{name} has to be a list")

    def new_document(self, change: Change, **extra: Any) -> Document:
        """Give a document its id and dates, and keep it."""
        now = self.clock.instant()
        document = {
            "id": self.new_id(change.resource),
            **self.defaults(change),
            **change.members,
            **extra,
        }
        document |= {"createdAt": now, "updatedAt": now}
        self.keep(change.resource, document)
        return document

    def defaults(self, change: Change) -> Document:
        """What a document has without being told: the creator's organization."""
        if change.resource == "organizations":
            return {"parent": change.principal.user.get("organization"), "status": "active"}
        return {"organization": change.principal.user.get("organization")}

    def keep(self, resource: str, document: Document) -> None:
        """Put a new document into the store."""
        self.store.add(resource, document["id"], dumps(document))

    async def new_user(self, change: Change) -> Document:
        """A user, with an account to log in with if there is a password."""
        members = change.members
        email = self.checked_email(members["email"])
        password = self.checked_password(members)
        self.check_role(members)
        hashed = None if password is None else await self.passwords.hash_aside(password)
        document = {
            "id": self.new_id("users"),
            "role": "agent",
            "status": "active",
            **self.defaults(change),
            **members,
        }
        try:
            self.store.add_account(StoredAccount(document["id"], email, hashed))
        except Duplicate:
            raise duplicate_email() from None
        now = self.clock.instant()
        document |= {"createdAt": now, "updatedAt": now}
        self.keep("users", document)
        return document

    def checked_email(self, email: object) -> str:
        """Something with an @ between two parts."""
        if not isinstance(email, str) or len(email) > 254 or not _EMAIL.fullmatch(email):
            raise bad_request("email has to be an e-mail address")
        return email

    def checked_password(self, members: Document) -> str | None:
        """The password, taken out of what will be shown."""
        if "password" not in members:
            return None
        password = members.pop("password")
        if not isinstance(password, str) or not 0 < len(password) <= LONGEST_PASSWORD:
            raise bad_request("password has to be a text")
        return password

    def check_role(self, members: Document) -> None:
        """The roles are the four scopes."""
        if "role" in members and members["role"] not in ROLES:
            raise bad_request(f"role has to be one of {', '.join(ROLES)}")

    def new_conversation(self, change: Change) -> Document:
        """The creator is the first participant; messages in the body are posted."""
        messages = change.members.pop("messages", [])
        others = change.members.pop("participants", [])
        if not isinstance(messages, list) or len(messages) > MOST_AT_ONCE:
            raise bad_request("messages has to be a list")
        for message in messages:
            self.check_message(message)
        if not all(
            isinstance(participant, dict) and isinstance(participant.get("user"), str)
            for participant in others
        ):
            raise bad_request("participants has to be a list of objects with a user")
        creator = {
            "user": change.principal.id,
            "role": change.principal.user["role"],
            "active": True,
        }
        participants = [
            creator,
            *(participant for participant in others if participant["user"] != change.principal.id),
        ]
        change.members.setdefault("type", "agent")
        change.members.setdefault("status", "active")
        document = self.new_document(change, participants=participants)
        for message in messages:
            self.new_message(
                change.principal, {**self.members(message), "conversation": document["id"]}
            )
        return self.stored("conversations", document["id"])

    def new_id(self, resource: str) -> str:
        """An id that no other document of this kind has."""
        return new_id()

    def is_id(self, text: str) -> bool:
        """Whether a document could have this id."""
        return _ID.fullmatch(text) is not None

    def stored(self, resource: str, id: str) -> Document:
        """A document read back."""
        document: Document = loads((self.store.get(resource, id) or "{}").encode())
        return document

    def check_message(self, message: Any) -> None:
        """A message is an object with a text."""
        members = self.members(message)
        self.check_required(RESOURCES["messages"], members)
        self.check_types(members)

    def new_messages(self, principal: Principal, body: Any, conversation: str | None) -> Any:
        """One message, or an array for an array; the conversation is in the path or the body."""
        bodies = body if isinstance(body, list) else [body]
        if not 0 < len(bodies) <= MOST_AT_ONCE:
            raise bad_request(f"A list of messages has from one to {MOST_AT_ONCE}")
        for message in bodies:
            self.check_message(message)
        given = {} if conversation is None else {"conversation": conversation}
        documents = [
            self.new_message(principal, {**self.members(message), **given}) for message in bodies
        ]
        return documents if isinstance(body, list) else documents[0]

    def new_message(self, principal: Principal, members: Document) -> Document:
        """A message in a conversation that is there."""
        conversation = members.get("conversation")
        if not isinstance(conversation, str) or not conversation:
            raise bad_request("conversation is required")
        self.existing(principal, "conversations", conversation)
        command = members["text"].startswith("/set ")
        known = {"type": "command" if command else "chat", "contentType": "text/plain"}
        change = Change(principal, "messages", {**known, "role": principal.user["role"], **members})
        document = self.new_document(change, user=principal.id)
        if command:
            self.set_meta(conversation, members["text"])
        return document

    def set_meta(self, conversation: str, command: str) -> None:
        """`/set key value` shows in the conversation's meta."""
        _, key, *rest = command.split(" ", 2)
        document = self.stored("conversations", conversation)
        document["meta"] = {**document.get("meta", {}), key: " ".join(rest)}
        document["updatedAt"] = self.clock.instant()
        self.store.replace("conversations", conversation, dumps(document))

    async def update(self, call: Call, principal: Principal, resource: str, id: str) -> Answer:
        """200 with the whole document; members of the body take the place of those stored."""
        self.existing(principal, resource, id)
        members = self.members(call.json())
        if resource == "users":
            members = self.profile_members(members, principal)
        self.check_types(members)
        if resource == "users":
            await self.update_account(id, members)
        # read again: hashing a password gives other requests time to change the document
        document = self.merged(loads(self.existing(principal, resource, id).encode()), members)
        document["updatedAt"] = self.clock.instant()
        self.store.replace(resource, id, dumps(document))
        return self.updated(document)

    def updated(self, document: Document) -> Answer:
        """The answer to an update."""
        return Answer.of(200, document)

    def merged(self, document: Document, members: Document) -> Document:
        """Top-level members are replaced as a whole."""
        return {**document, **members}

    def profile_members(self, members: Document, principal: Principal) -> Document:
        """What the caller may change of a user; below admin, role and address are ignored."""
        if self.guard.may(principal, CHANGE_ROLES):
            return members
        return {name: value for name, value in members.items() if name in OWN_PROFILE}

    async def update_account(self, id: str, members: Document) -> None:
        """Role, address and password of a user."""
        self.check_role(members)
        password = self.checked_password(members)
        if "email" in members:
            try:
                self.store.set_email(id, self.checked_email(members["email"]))
            except Duplicate:
                raise duplicate_email() from None
        if password is not None:
            self.store.set_password(id, await self.passwords.hash_aside(password))
            self.store.forget_refresh_tokens(id)

    def delete(self, principal: Principal, resource: str, id: str) -> Answer:
        """204 and nothing else."""
        self.existing(principal, resource, id)
        self.store.remove(resource, id)
        return self.deleted()

    def deleted(self) -> Answer:
        """The answer to a delete."""
        return Answer(204)


def duplicate_email() -> Refusal:
    """409: another user has this address."""
    return Refusal(409, "A user with this email exists")
