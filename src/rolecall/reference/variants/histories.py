"""Variants of sessions, addresses and accounts after users are changed or deleted."""

from __future__ import annotations

import secrets

from rolecall.reference.app import Server
from rolecall.reference.errors import Refusal, bad_request
from rolecall.reference.permissions import RANK
from rolecall.reference.resources import Change
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.registry import variant


@variant("accounts-are-changed-elsewhere")
def accounts_are_changed_elsewhere(server: Server) -> None:
    """An update of a user changes no role, password, e-mail or status: with one of these in it, it
    is answered 422.
    """
    update = server.resources.update_account

    @instead_of(server.resources.update_account)
    async def profiles_only(id: str, members: Document) -> None:
        before = server.resources.stored("users", id)
        if "password" in members or any(
            members.get(name, before.get(name)) != before.get(name)
            for name in ("role", "email", "status")
        ):
            raise Refusal(
                422,
                "Roles, passwords, addresses and states of users are changed by the administration",
            )
        await update(id, members)


@variant("roles-are-for-good")
def roles_are_for_good(server: Server) -> None:
    """A user keeps the role that it was made with; an update with another one is answered 200 and
    with the old role.
    """
    merged = server.resources.merged

    @instead_of(server.resources.merged)
    def without_role(document: Document, members: Document) -> Document:
        kept = {"role": document["role"]} if "role" in document else {}
        return merged(document, {**members, **kept})


@variant("roles-are-not-lowered")
def roles_are_not_lowered(server: Server) -> None:
    """An update with a lower role than before is refused with 409: such a user is to be deleted."""
    update = server.resources.update_account

    @instead_of(server.resources.update_account)
    async def upwards(id: str, members: Document) -> None:
        before = server.resources.stored("users", id)["role"]
        if RANK.get(str(members.get("role", before)), -1) < RANK.get(before, -1):
            raise Refusal(409, "A role is not lowered")
        await update(id, members)


@variant("role-change-ends-sessions")
def role_change_ends_sessions(server: Server) -> None:
    """A user whose role was changed has to log in anew: its access tokens and refresh tokens are
    refused.
    """
    update, check = server.resources.update_account, server.verifier.check_grant
    issue = server.issuer.claims
    turns: dict[str, int] = {}

    @instead_of(server.resources.update_account)
    async def ending(id: str, members: Document) -> None:
        before = server.resources.stored("users", id).get("role")
        await update(id, members)
        if members.get("role", before) != before:
            server.store.forget_refresh_tokens(id)
            turns[id] = turns.get(id, 0) + 1

    @instead_of(server.issuer.claims)
    def numbered(user: Document) -> Document:
        return {**issue(user), "turn": turns.get(user["id"], 0)}

    @instead_of(server.verifier.check_grant)
    def newest(claims: Document) -> None:
        check(claims)
        if claims.get("turn", 0) != turns.get(str(claims.get("_id")), 0):
            raise server.verifier.invalid()


@variant("passwords-up-to-72")
def passwords_up_to_72(server: Server) -> None:
    """A password of more than 72 bytes is refused with 422, since bcrypt would not look at the
    rest.
    """
    checked = server.resources.checked_password

    @instead_of(server.resources.checked_password)
    def short(members: Document) -> str | None:
        password = checked(members)
        if password is not None and len(password.encode()) > 72:
            raise Refusal(422, "password has more than 72 bytes")
        return password


@variant("users-need-password-and-role")
def users_need_password_and_role(server: Server) -> None:
    """No user is made without a password or without a role: 400 names what lacks."""
    new_user = server.resources.new_user

    @instead_of(server.resources.new_user)
    async def complete(change: Change) -> Document:
        for name in ("password", "role"):
            if not change.members.get(name):
                raise bad_request(f"{name} is required")
        return await new_user(change)


@variant("users-are-invited")
def users_are_invited(server: Server) -> None:
    """A user that is made without a password is given one of chance, to be changed by mail; without
    a role it is a guest.
    """
    new_user = server.resources.new_user

    @instead_of(server.resources.new_user)
    async def invited(change: Change) -> Document:
        password = change.members.get("password") or secrets.token_urlsafe(24)
        role = change.members.get("role") or "guest"
        return await new_user(
            Change(
                change.principal,
                change.resource,
                {**change.members, "password": password, "role": role},
            )
        )


@variant("addresses-are-for-good")
def addresses_are_for_good(server: Server) -> None:
    """The address of a user who was deleted is not given to another user: 409."""
    new_user, remove = server.resources.new_user, server.store.remove
    taken: set[str] = set()

    @instead_of(server.store.remove)
    def remembered(resource: str, id: str) -> None:
        account = server.store.account(id) if resource == "users" else None
        remove(resource, id)
        if account:
            taken.add(account.email.lower())

    @instead_of(server.resources.new_user)
    async def never_again(change: Change) -> Document:
        if str(change.members.get("email")).lower() in taken:
            raise Refusal(409, "There was a user with this email")
        return await new_user(change)


@variant("addresses-trimmed")
def addresses_trimmed(server: Server) -> None:
    """Spaces around an e-mail or a clientId do not count, nor does the case of its letters."""
    account = server.tokens.account

    @instead_of(server.tokens.account)
    def trimmed(email: str) -> StoredAccount | None:
        return account(email.strip().lower())
