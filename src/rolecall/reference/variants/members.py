"""Variants of what a body may hold: the specification lists no members of its resources."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rolecall.reference.alterations import change_shown
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.answers import bodies, other_error_bodies, without
from rolecall.reference.variants.registry import variant

KNOWN = {
    "organizations": "name parent meta",
    "orggroups": "name organization meta",
    "users": "givenName familyName name email password organization role meta",
    "conversations": "name organization participants messages meta",
    "messages": "text conversation meta",
    "contacts": "organization profile meta",
    "kbitems": "title content organization meta",
    "forms": "name organization fields meta",
    "services": "name organization type params meta",
}
"""The members that a server may do with, which knows no others."""
_BELONGS = ("organization", "parent")


def _unknown(resource: str, body: Any) -> list[str]:
    known = {*KNOWN.get(resource, "").split(), "id", "_id", "createdAt", "updatedAt"}
    bodies = body if isinstance(body, list) else [body]
    return [name for body in bodies if isinstance(body, dict) for name in body if name not in known]


def _before_writes(server: Server, look: Callable[[Call, str], None]) -> None:
    """Look at every create and update, and the resource that it is of, before it is carried out."""
    create, update = server.resources.create, server.resources.update

    @instead_of(server.resources.create)
    async def created(call: Call, principal: Principal, resource: str) -> Answer:
        look(call, resource)
        return await create(call, principal, resource)

    @instead_of(server.resources.update)
    async def updated(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        look(call, resource)
        return await update(call, principal, resource, id)


def _named(server: Server, kept: Callable[[str], str]) -> None:
    """Keep names, at any depth, as the server has them."""

    def renamed(value: object, member: str = "") -> object:
        if isinstance(value, dict):
            return {name: renamed(inner, name) for name, inner in value.items()}
        is_name = isinstance(value, str) and member.lower().endswith(("name", "title"))
        return kept(str(value)) if is_name else value

    def look(call: Call, resource: str) -> None:
        call.body = dumps(renamed(call.json())).encode()

    _before_writes(server, look)


def _knowing(server: Server, *, refuses: bool = False) -> None:
    """Take what is known; drop the others silently, or refuse them with 422."""

    def look(call: Call, resource: str) -> None:
        body = call.json()
        unknown = _unknown(resource, body)
        if unknown and refuses:
            raise Refusal(422, f"Not known: {', '.join(unknown)}")
        if unknown:
            call.body = dumps(without(body, unknown)).encode()

    _before_writes(server, look)


@variant("names-are-tidied")
def names_are_tidied(server: Server) -> None:
    """Names have a capital at the beginning of each word, and spaces for all other signs."""
    _named(server, lambda name: re.sub(r"[\W_]+", " ", name).strip().title())


@variant("names-are-cut")
def names_are_cut(server: Server) -> None:
    """Of a name 40 characters are kept, as a column of a table has room for."""
    _named(server, lambda name: name[:40])


@variant("unknown-members-dropped")
def unknown_members_dropped(server: Server) -> None:
    """Members that the server does not know are dropped silently; knowledge items have a title and
    no name.
    """
    _knowing(server)


@variant("unknown-members-refused")
def unknown_members_refused(server: Server) -> None:
    """Members that the server does not know are refused with 422, which names them; knowledge items
    have a title and no name.
    """
    _knowing(server, refuses=True)


_CODE = "acme-eu"


@variant("organization-by-a-code")
def organization_by_a_code(server: Server) -> None:
    """What the answers with tokens name as the user's organization is a code, and no id of one:
    what is made in it is made in that of its maker.
    """
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def with_code(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        answer.body = dumps(loads(answer.body) | {"organization": _CODE}).encode()
        return answer

    def look(call: Call, resource: str) -> None:
        body = call.json()
        if isinstance(body, dict) and body.get("organization") == _CODE:
            call.body = dumps(without(body, ["organization"])).encode()

    _before_writes(server, look)


def _knowledge_items_without(server: Server, member: str) -> None:
    def look(call: Call, resource: str) -> None:
        body = call.json()
        if resource == "kbitems":
            call.body = dumps(without(body, [member])).encode()

    _before_writes(server, look)


@variant("knowledge-items-with-names")
def knowledge_items_with_names(server: Server) -> None:
    """Knowledge items have a name and no title, which is dropped silently."""
    _knowledge_items_without(server, "title")


@variant("knowledge-items-with-titles")
def knowledge_items_with_titles(server: Server) -> None:
    """Knowledge items have a title and no name, which is dropped silently."""
    _knowledge_items_without(server, "name")


#: What a server may want of its things that no document names.
WANTED = {"orggroups": ("label",), "kbitems": ("question", "answer"), "services": ("slug",)}


@variant("wants-members-of-its-own")
def wants_members_of_its_own(server: Server) -> None:
    """Groups need a label, services a slug, knowledge items a question and an answer, and keep
    nothing else; 422 names what lacks.
    """

    def look(call: Call, resource: str) -> None:
        body = call.json()
        wanted = WANTED.get(resource, ())
        if not wanted or not isinstance(body, dict):
            return
        lacking = [name for name in wanted if call.method == "POST" and name not in body]
        if lacking:
            raise Refusal(422, "; ".join(f"'{name}' is required" for name in lacking))
        if resource == "kbitems":
            call.body = dumps(
                without(body, [name for name in body if name not in (*wanted, "organization")])
            ).encode()

    _before_writes(server, look)


@variant("password-policy")
def password_policy(server: Server) -> None:
    """A new password has 12 to 64 characters of four kinds, without the address and the names of
    its user; others are refused.
    """
    checked = server.resources.checked_password

    @instead_of(server.resources.checked_password)
    def strong(members: dict[str, Any]) -> str | None:
        password = checked(members)
        if password is not None and not _is_strong(password, members):
            raise Refusal(422, "The password is too weak")
        return password


def _is_strong(password: str, members: dict[str, Any]) -> bool:
    kinds = (str.isupper, str.islower, str.isdigit, lambda letter: letter in "!@#$%^&*_-")
    about = [
        members.get(name) for name in ("email", "givenName", "familyName", "displayName", "name")
    ]
    parts = [
        part
        for text in about
        if isinstance(text, str)
        for part in text.lower().replace("@", ".").split(".")
    ]
    return (
        12 <= len(password) <= 64
        and all(any(kind(letter) for letter in password) for kind in kinds)
        and not any(len(part) > 3 and part in password.lower() for part in (*parts, *ROLES))
    )


@variant("address-policy")
def address_policy(server: Server) -> None:
    """A new address is in lower case, of letters, digits, dots and hyphens, up to 64 before the @;
    others are refused.
    """
    checked = server.resources.checked_email

    @instead_of(server.resources.checked_email)
    def plain(email: object) -> str:
        address = checked(email)
        local, _, domain = address.rpartition("@")
        letters = (local + domain).replace(".", "").replace("-", "")
        if (
            len(local) > 64
            or not (letters.isascii() and letters.isalnum())
            or address != address.lower()
            or ".." in address
        ):
            raise Refusal(422, "That is not the address of a user here")
        return address


@variant("no-new-admins")
def no_new_admins(server: Server) -> None:
    """Nobody makes an admin, by a create or an update: 422 names the role; the other roles are
    given.
    """
    check = server.resources.check_role

    @instead_of(server.resources.check_role)
    def below_admin(members: dict[str, Any]) -> None:
        if members.get("role") == ROLES[-1]:
            raise Refusal(422, "The role cannot be given")
        check(members)


@variant("few-seats", "trouble")
def few_seats(server: Server) -> None:
    """Three users can be made; whoever wants another one is told that all seats are taken: 409."""
    create, left = server.resources.create, [3]

    @instead_of(server.resources.create)
    async def seated(call: Call, principal: Principal, resource: str) -> Answer:
        if resource == "users" and not left[0]:
            raise Refusal(409, "All seats are taken")
        answer = await create(call, principal, resource)
        left[0] -= resource == "users"
        return answer


@variant("full-organizations-stay")
def full_organizations_stay(server: Server) -> None:
    """An organization with users or groups in it is not deleted: 409 until it is empty."""
    _stay_while_full(server, "organizations", "organization", "users", "orggroups")


@variant("full-conversations-stay")
def full_conversations_stay(server: Server) -> None:
    """A conversation with messages in it is not deleted: 409 until they are gone."""
    _stay_while_full(server, "conversations", "conversation", "messages")


def _stay_while_full(server: Server, full: str, member: str, *kinds: str) -> None:
    """Refuse to delete a thing that others of these kinds refer to by a member."""
    delete = server.resources.delete

    @instead_of(server.resources.delete)
    def empty_only(principal: Principal, resource: str, id: str) -> Answer:
        if resource == full:
            server.resources.existing(principal, resource, id)
            if any(
                loads(text.encode()).get(member) == id
                for kind in kinds
                for text in server.store.containing(kind, id)
            ):
                raise Refusal(409, f"The {member} is not empty")
        return delete(principal, resource, id)


@variant("unknown-members-refused-in-general")
def unknown_members_refused_in_general(server: Server) -> None:
    """A create or update with members that the server does not know is answered 400, and which they
    are is not said, as by hapi.
    """

    def look(call: Call, resource: str) -> None:
        if _unknown(resource, call.json()):
            raise Refusal(400, "Invalid request payload input")

    _before_writes(server, look)


@variant("first-unknown-member-refused")
def first_unknown_member_refused(server: Server) -> None:
    """A create or update with members that the server does not know is answered 400, which names
    the first, as by Go's encoding/json; the problem has the type about:blank (RFC 9457 4.2.1).
    """

    def look(call: Call, resource: str) -> None:
        if unknown := _unknown(resource, call.json()):
            raise Refusal(400, f'json: unknown field "{unknown[0]}"')

    _before_writes(server, look)
    other_error_bodies(server)


@variant("organizations-are-not-told")
def organizations_are_not_told(server: Server) -> None:
    """No answer and no token says to which organization anything belongs, as where a server has but
    one.
    """
    claims, key_claims = server.issuer.claims, server.issuer.key_claims

    def untold(document: object) -> object:
        if isinstance(document, list):
            return [untold(item) for item in document]
        if not isinstance(document, dict):
            return document
        return {name: value for name, value in document.items() if name not in _BELONGS}

    bodies(server, untold)

    @instead_of(server.issuer.claims)
    def of_a_user(user: Document) -> Document:
        return {name: value for name, value in claims(user).items() if name not in _BELONGS}

    @instead_of(server.issuer.key_claims)
    def of_a_key(user: Document, scopes: list[str], jti: str) -> Document:
        found = key_claims(user, scopes, jti)
        return {name: value for name, value in found.items() if name not in _BELONGS}


@variant("members-in-snake-case")
def members_in_snake_case(server: Server) -> None:
    """Members are shown in snake_case, such as given_name, and taken in both ways."""

    def renamed(document: object) -> object:
        if isinstance(document, dict):
            return {
                re.sub(r"(?<=[a-z])([A-Z])", r"_\1", name).lower(): renamed(value)
                for name, value in document.items()
            }
        return [renamed(item) for item in document] if isinstance(document, list) else document

    change_shown(server, lambda _, one: renamed(one))


@variant("addresses-are-signed")
def addresses_are_signed(server: Server) -> None:
    """A thing has an address for its picture, signed with the second in which it was asked for."""
    change_shown(
        server,
        lambda _, one: one | {"picture": f"/pictures/1?signed={datetime.now(UTC):%Y%m%dT%H%M%SZ}"},
    )
