"""Changes of the server that several faults and variants share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from rolecall.reference.app import Action, Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.resources import RESOURCES, Change, duplicate_email
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, NotJson, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

Exemption = Callable[[Call, Principal, str], bool]
"""Whether a caller may do an operation, whatever the permission table says."""


def make_exception(server: Server, applies: Exemption) -> None:
    """Let callers past the permission table where an exception applies."""
    permitted = server.dispatcher.permitted

    @instead_of(server.dispatcher.permitted)
    def excepted(call: Call, principal: Principal, operation: str) -> bool:
        return permitted(call, principal, operation) or applies(call, principal, operation)


def look_scopes_up(server: Server, scopes: Callable[[Principal], frozenset[str]]) -> None:
    """Find out at each request what scopes the bearer of a time-based token has."""
    person = server.verifier.person

    @instead_of(server.verifier.person)
    def current(claims: Document) -> Principal:
        one = person(claims)
        if one.credential == "api-key":
            return one
        return Principal(one.user, scopes(one), one.credential, claims)


def role_of_user(principal: Principal) -> frozenset[str]:
    """The scope that a user's role is now."""
    return frozenset({principal.user["role"]})


def somebody(server: Server, role: str) -> Principal:
    """The account of a role, as if it had come with a token."""
    user = server.resources.stored("users", server.accounts[role].id)
    return Principal(user, frozenset({role}), "token", {})


def asked_for(server: Server, call: Call) -> Document:
    """The document that a request is about, or an empty one."""
    if call.id is None or call.resource not in RESOURCES:
        return {}
    return server.resources.stored(call.resource, call.id)


def takes_part(principal: Principal, conversation: Document) -> bool:
    """Whether the caller is a participant."""
    return any(
        participant.get("user") == principal.id
        for participant in conversation.get("participants", [])
    )


def body_of(call: Call) -> Document:
    """The body if it is an object, or an empty one; whatever its type is said to be."""
    try:
        body = loads(call.body)
    except NotJson:
        return {}
    return body if isinstance(body, dict) else {}


def parameter(call: Call, name: str) -> str | None:
    """The last parameter of this name in the query."""
    return dict(call.query).get(name)


def note_makers(server: Server) -> dict[str, str]:
    """Who made what from now on: ids of things to ids of users."""
    makers: dict[str, str] = {}
    new_document = server.resources.new_document

    @instead_of(server.resources.new_document)
    def noted(change: Change, **extra: object) -> Document:
        document = new_document(change, **extra)
        makers[document["id"]] = change.principal.id
        return document

    return makers


def before_refusing(server: Server, do: Callable[[Call, Principal, str], None]) -> None:
    """Do something of what was asked for, and refuse."""
    refuse = server.dispatcher.refuse

    @instead_of(server.dispatcher.refuse)
    async def too_late(call: Call, principal: Principal, operation: str) -> Answer:
        do(call, principal, operation)
        return await refuse(call, principal, operation)


async def perform_unguarded(server: Server, call: Call, resource: str, id: str | None) -> Answer:
    """Do what a request means for a resource or a thing, for everybody with a good token or key."""
    principal = server.guard.authenticate(call)
    call.resource, call.id = resource, id
    return await server.dispatcher.perform(
        call, principal, server.dispatcher.operation(call, principal)
    )


def route_past_the_guard(server: Server, found_in: Callable[[Call], re.Match[str] | None]) -> None:
    """Serve to everybody with a token what is found in a request: its first group is a resource,
    its second an id or nothing.
    """
    answer, unknown = server.dispatcher.answer, server.dispatcher.unknown

    async def let_in(call: Call) -> Answer | None:
        found = found_in(call)
        if found is None or found[1] not in RESOURCES:
            return None
        return await perform_unguarded(server, call, found[1], found[2])

    @instead_of(server.dispatcher.answer)
    async def routed(call: Call) -> Answer:
        return await let_in(call) or await answer(call)

    @instead_of(server.dispatcher.unknown)
    async def routed_after_all(call: Call) -> Answer:
        return await let_in(call) or await unknown(call)


def change_stored(server: Server, resource: str, id: str, **members: object) -> Document:
    """Change members of a document in the store, past all checks; what it is now."""
    document = server.resources.stored(resource, id) | members
    server.store.replace(resource, id, dumps(document))
    return document


def embed(
    server: Server,
    resources: tuple[str, ...],
    path: str,
    target: str,
    members: tuple[str, ...] = (),
) -> None:
    """Let good answers hold what a member of things refers to: all of it, or its id and these."""
    after = server.wire.after

    def put_in(value: Any, steps: list[str]) -> Any:
        if isinstance(value, list):
            return [put_in(member, steps) for member in value]
        if steps:
            step, *rest = steps
            is_there = isinstance(value, dict) and step in value
            return {**value, step: put_in(value[step], rest)} if is_there else value
        text = server.store.get(target, value) if isinstance(value, str) else None
        document = loads(text.encode()) if text else None
        if document is None:
            return value
        wanted = ("id", *members) if members else tuple(document)
        return {name: document[name] for name in wanted if name in document}

    @instead_of(server.wire.after)
    async def with_it(call: Call, answer: Answer) -> Answer:
        is_thing = call.resource in resources and 200 <= answer.status < 300
        if is_thing and answer.body and answer.media_type == "application/json":
            answer.body = dumps(put_in(loads(answer.body), path.split("."))).encode()
        return await after(call, answer)


def let_users_change_their_email(server: Server) -> None:
    """Let everybody change the e-mail of the own user."""
    profile_members = server.resources.profile_members

    @instead_of(server.resources.profile_members)
    def with_email(members: Document, principal: Principal) -> Document:
        kept = {"email": members["email"]} if "email" in members else {}
        return {**profile_members(members, principal), **kept}


def compare_emails_to_the_letter(server: Server, key: Callable[[str], str] = str) -> dict[str, str]:
    """Let everybody change the own e-mail, also to another user's in other letters: taken is only
    what is the same to the letter. The users who did so, by the ``key`` of that e-mail.
    """
    let_users_change_their_email(server)
    claimed: dict[str, str] = {}
    set_email = server.store.set_email

    @instead_of(server.store.set_email)
    def unlike_to_the_letter(id: str, email: str) -> None:
        other = server.store.account_by_email(email)
        if other is None or other.id == id:
            set_email(id, email)
        elif other.email == email:
            raise duplicate_email()
        else:
            claimed[key(email)] = id

    return claimed


def tell_of_taken_emails(
    server: Server, told: Callable[[Answer, str, StoredAccount], Answer]
) -> None:
    """Let everybody change the own e-mail, and a refusal of one that another user has be what
    ``told`` makes of it, of the e-mail and of who has it.
    """
    let_users_change_their_email(server)
    handle = server.handle

    @instead_of(server.handle)
    async def with_owner(call: Call, action: Action) -> Answer:
        answer = await handle(call, action)
        email = body_of(call).get("email") if answer.status == 409 else None
        owner = server.store.account_by_email(email) if isinstance(email, str) else None
        return told(answer, str(email), owner) if owner else answer


def set_a_cookie(server: Server, written: Callable[[Document], str]) -> None:
    """Let an answer with tokens set a cookie, as ``written`` makes it of them."""
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def with_cookie(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        cookie = written(loads(answer.body))
        answer.headers["Set-Cookie"] = f"{cookie}; Path=/; HttpOnly"
        return answer


def note_the_deleted(server: Server) -> dict[str, Document]:
    """The users that are deleted from now on, as they were, by their ids."""
    remove = server.store.remove
    gone: dict[str, Document] = {}

    @instead_of(server.store.remove)
    def noted(resource: str, id: str) -> None:
        text = server.store.get(resource, id) if resource == "users" else None
        if text:
            gone[id] = loads(text.encode())
        remove(resource, id)

    return gone


def keep_sessions_of_the_deleted(server: Server) -> None:
    """Let the refresh tokens of a user outlive it."""
    remove = server.store.remove

    @instead_of(server.store.remove)
    def without_tokens(resource: str, id: str) -> None:
        rows = server.store.refresh_tokens_of(id) if resource == "users" else []
        remove(resource, id)
        for row in rows:
            server.store.add_refresh_token(row)


def note_tokens(server: Server, part: Callable[[str], str]) -> dict[str, str]:
    """The refresh tokens that are issued from now on, by a part of each."""
    issue = server.refresh.issue
    whole: dict[str, str] = {}

    @instead_of(server.refresh.issue)
    def noted(user: str) -> str:
        token = issue(user)
        whole[part(token)] = token
        return token

    return whole


def note_keys(server: Server) -> dict[str, str]:
    """The API keys that are made from now on, in full, by their ids."""
    create = server.api_keys.create
    known: dict[str, str] = {}

    @instead_of(server.api_keys.create)
    def noted(call: Call, principal: Principal) -> Answer:
        answer = create(call, principal)
        key = loads(answer.body)
        known[key["id"]] = key["token"]
        return answer

    return known


def change_shown(
    server: Server,
    one: Callable[[str, Document], object],
    many: Callable[[str, list[object]], object] = lambda _, shown: shown,
) -> None:
    """Change every thing that is shown, and every list of them, both by their resource."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def changed(call: Call, answer: Answer) -> Answer:
        if call.resource in RESOURCES and answer.status in (200, 201) and answer.body:
            document = loads(answer.body)
            answer.body = dumps(
                many(call.resource, [one(call.resource, item) for item in document])
                if isinstance(document, list)
                else one(call.resource, document)
            ).encode()
        return await after(call, answer)
