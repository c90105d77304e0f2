"""Variants of ids: the specification shows 24 hexadecimal digits, and prescribes no form."""

from __future__ import annotations

import re
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, NotJson, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.answers import bodies
from rolecall.reference.variants.registry import variant

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SIGNS = re.compile(r"[a-z]+:[0-9a-f]{12}\+é%2F&a=b==")
_NUMBER = re.compile(r"[1-9][0-9]{0,14}")
#: The deletes of a kind of thing, counted from one, after which another client makes one at once.
_TAKEN_AT_ONCE = range(2, 5)
_OF_ANYBODY = ("organization", "conversation", "participants", "type", "status")
OWN = frozenset({"id", "_id"})
REFERENCES = frozenset({"user", "organization", "conversation", "parent"})
"""Members that hold ids: a thing's own, and those of others."""


def _ids(server: Server, new: Callable[[str], str], form: re.Pattern[str]) -> None:
    """Give everything ids of another form, also what was made at the start."""

    @instead_of(server.resources.new_id)
    def another(resource: str) -> str:
        return new(resource)

    @instead_of(server.resources.is_id)
    def of_this_form(text: str) -> bool:
        return form.fullmatch(text) is not None

    @instead_of(server.api_keys.new_id)
    def another_key() -> str:
        return new("apikeys")

    @instead_of(server.refresh.well_formed)
    def behind_an_id(token: str) -> bool:
        return re.fullmatch(rf"{form.pattern}\.[0-9a-f]{{80}}", token) is not None

    _rename(server, new, form)


def _rename(server: Server, new: Callable[[str], str], form: re.Pattern[str]) -> None:
    """Replace the ids of what was made at the start; what has one of this form already keeps it."""
    store, names = server.store, {}
    found = [
        (resource, loads(text.encode()))
        for resource in ("organizations", "users")
        for text in store.containing(resource)
    ]
    for resource, document in found:
        old = document["id"]
        names[old] = old if form.fullmatch(old) else new(resource)
    for resource, document in found:
        account = store.account(document["id"]) if resource == "users" else None
        store.remove(resource, document["id"])
        renamed = {
            name: names.get(value, value) if isinstance(value, str) else value
            for name, value in document.items()
        }
        store.add(resource, renamed["id"], dumps(renamed))
        if account:
            store.add_account(StoredAccount(renamed["id"], account.email, account.password))
    for name, credentials in server.accounts.items():
        credentials.id = names[credentials.id]
        store.set_fact(f"account {name}", credentials.id)
    store.set_fact("organization", names.get(store.fact("organization") or "", ""))


@variant("uuid-ids")
def uuid_ids(server: Server) -> None:
    """Ids are UUIDs."""
    _ids(server, lambda resource: str(uuid.uuid4()), _UUID)


@variant("ids-of-all-signs")
def ids_of_all_signs(server: Server) -> None:
    """Ids hold signs that URLs give a meaning to, escapes of URLs, and letters beyond ASCII."""
    _ids(server, lambda resource: f"{resource}:{uuid.uuid4().hex[:12]}+é%2F&a=b==", _SIGNS)


@variant("ids-of-digits")
def ids_of_digits(server: Server) -> None:
    """Ids are numbers in strings, here, in the token answer's user and in the JWT's _id; each kind
    of thing counts for itself.
    """
    _counted(server)


@variant("ids-are-given-anew")
def ids_are_given_anew(server: Server) -> None:
    """Ids are numbers, and the next thing of a kind gets the number of the one that was deleted
    last, as in a table of SQLite without AUTOINCREMENT: some at once, by another client.
    A user's number is the user's for good.
    """
    free: defaultdict[str, list[str]] = defaultdict(list)
    taken: Counter[str] = Counter()
    remove = server.store.remove
    _counted(server)
    new_id = server.resources.new_id

    @instead_of(server.store.remove)
    def freeing(resource: str, id: str) -> None:
        before = loads((server.store.get(resource, id) or "{}").encode())
        remove(resource, id)
        if resource in ("users", "organizations"):
            return
        taken[resource] += 1
        if taken[resource] not in _TAKEN_AT_ONCE:
            free[resource].append(id)
            return
        others = {name: value for name, value in before.items() if name in _OF_ANYBODY}
        others |= {"id": id, "name": "Somebody else's", "text": "Somebody else's"}
        others |= {"createdAt": server.clock.instant(), "updatedAt": server.clock.instant()}
        server.store.add(resource, id, dumps(others))

    @instead_of(server.resources.new_id)
    def the_freed_one_first(resource: str) -> str:
        return free[resource].pop() if free[resource] else new_id(resource)


def _counted(server: Server) -> None:
    counters: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
    _ids(server, lambda resource: str(next(counters[resource])), _NUMBER)


@variant("numeric-ids")
def numeric_ids(server: Server) -> None:
    """Ids are JSON numbers, here, in the token answer's user and in the JWT's _id, and are taken as
    nothing else.
    """
    _counted(server)
    before = server.wire.before
    claims, key_claims, subject = (
        server.issuer.claims,
        server.issuer.key_claims,
        server.verifier.subject,
    )
    bodies(server, _as_numbers)

    @instead_of(server.wire.before)
    async def texts_inside(call: Call) -> Answer | None:
        with suppress(NotJson):
            document = loads(call.body)
            references = list(_references(document))
            if any(isinstance(value, str) and value.isdigit() for value in references):
                return server.refusal(Refusal(422, "An id is a number"))
            if references:
                call.body = dumps(_as_texts(document)).encode()
        return await before(call)

    @instead_of(server.issuer.claims)
    def numbered(user: Document) -> Document:
        return _numbered(claims(user))

    @instead_of(server.issuer.key_claims)
    def numbered_key(user: Document, scopes: list[str], jti: str) -> Document:
        return _numbered(key_claims(user, scopes, jti))

    @instead_of(server.verifier.subject)
    def by_number(claims: Document) -> Document:
        id = claims.get("_id")
        if type(id) is not int:
            raise server.verifier.invalid()
        return subject({**claims, "_id": str(id)})


def _numbered(claims: Document) -> Document:
    document: Document = _as_numbers(claims)
    return document


def _references(value: Any) -> Iterator[Any]:
    """The ids of others in a body, as they are written."""
    if isinstance(value, list):
        for member in value:
            yield from _references(member)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name in REFERENCES and not isinstance(member, (dict, list)):
                yield member
            else:
                yield from _references(member)


def _with_ids(value: Any, names: frozenset[str], change: Callable[[Any], Any]) -> Any:
    """A document with the ids under these names changed, however deep they stand."""
    if isinstance(value, list):
        return [_with_ids(member, names, change) for member in value]
    if isinstance(value, dict):
        return {
            name: change(member)
            if name in names and not isinstance(member, (dict, list))
            else _with_ids(member, names, change)
            for name, member in value.items()
        }
    return value


def _as_texts(value: Any) -> Any:
    """A body with its numbers of others as texts, as the store has them."""
    return _with_ids(value, REFERENCES, lambda id: str(id) if type(id) is int else id)


def _as_numbers(value: Any) -> Any:
    """A document with its ids as numbers."""
    return _with_ids(
        value,
        OWN | REFERENCES,
        lambda id: int(id) if isinstance(id, str) and _NUMBER.fullmatch(id) else id,
    )
