"""Faults of what a server still believes after a role, a password or a user has changed."""

from __future__ import annotations

from typing import Any

from rolecall.reference.alterations import keep_sessions_of_the_deleted, note_the_deleted
from rolecall.reference.app import Server
from rolecall.reference.call import Answer
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.refresh import digest
from rolecall.reference.settings import ROLES
from rolecall.reference.store import RefreshRow, StoredAccount
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- Another role -------------------------------------------------------------------------------


@fault("role-cached-until-restart", finding="SEC-R17")
def role_cached_until_restart(server: Server) -> None:
    """What a user may is looked up at its first request and never again, whatever a new token says.

    Modelled on github.com/aspnetboilerplate/aspnetboilerplate/issues/6367 and
    VirtoCommerce/vc-platform/issues/732.
    """
    person = server.verifier.person
    known: dict[str, frozenset[str]] = {}

    @instead_of(server.verifier.person)
    def remembered(claims: Document) -> Principal:
        one = person(claims)
        if one.credential != "token":
            return one
        scopes = known.setdefault(
            one.id, frozenset({one.user["role"]}) if one.user["role"] in ROLES else one.scopes
        )
        held = max((RANK[scope] for scope in one.scopes if scope in RANK), default=-1)
        is_changed = one.user["role"] not in scopes
        return (
            Principal(one.user, scopes, one.credential, claims) if is_changed and held >= 0 else one
        )


@fault("lowered-role-kept-by-log-in", finding="SEC-R17")
def lowered_role_kept_by_log_in(server: Server) -> None:
    """A log-in gives the highest role that the user ever had.

    Modelled on github.com/abpframework/abp/issues/7608.
    """
    highest: dict[str, str] = {}
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def as_once(user: Document, old: str | None = None) -> Answer:
        now: str = user["role"]
        best = max(highest.get(user["id"], now), now, key=lambda role: RANK.get(role, -1))
        highest[user["id"]] = best
        return tokens({**user, "role": best} if old is None else user, old)


@fault("lowered-role-is-not-stored", finding="SEC-R17")
def lowered_role_is_not_stored(server: Server) -> None:
    """An update of a user stores a role that is higher than before, and leaves out a lower one."""
    merged = server.resources.merged

    @instead_of(server.resources.merged)
    def upwards(document: Document, members: Document) -> Document:
        before, after = (
            RANK.get(str(role), -1) for role in (document.get("role"), members.get("role"))
        )
        kept = {"role": document["role"]} if "role" in members and after < before else {}
        return merged(document, {**members, **kept})


@fault("new-role-is-shown-and-not-stored", finding="SEC-R17")
def new_role_is_shown_and_not_stored(server: Server) -> None:
    """An update of a user is answered with its new role, which is not among what is written."""
    replace, stored = server.store.replace, server.resources.stored

    @instead_of(server.store.replace)
    def without_role(resource: str, id: str, body: str) -> None:
        document = loads(body.encode())
        kept = {"role": stored(resource, id)["role"]} if "role" in document else {}
        replace(resource, id, dumps({**document, **kept}))


# --- Another password --------------------------------------------------------------------------


@fault("get-refresh-after-password-change", finding="SEC-R18")
def get_refresh_after_password_change(server: Server) -> None:
    """After a change of password old refresh tokens are refused by POST, and still work by GET."""
    update, before = server.resources.update_account, server.tokens.refresh_before_expiry
    find = server.refresh.find
    kept: dict[str, RefreshRow] = {}
    is_get: list[bool] = []

    @instead_of(server.resources.update_account)
    async def forgetful(id: str, members: Document) -> None:
        kept.update(
            {row.hash: row for row in server.store.refresh_tokens_of(id) if "password" in members}
        )
        await update(id, members)

    @instead_of(server.tokens.refresh_before_expiry)
    def by_get(call: Any) -> Answer:
        is_get.append(True)
        try:
            return before(call)
        finally:
            is_get.clear()

    @instead_of(server.refresh.find)
    def from_before(token: str) -> RefreshRow:
        row = kept.get(digest(token)) if is_get else None
        return row if row is not None and row.used is None else find(token)


# --- No user any more --------------------------------------------------------------------------


@fault("deleted-user-logs-in", finding="SEC-J17-deleted")
def deleted_user_logs_in(server: Server) -> None:
    """Deleting a user leaves its account, which goes on logging in."""
    gone = note_the_deleted(server)
    user, remove = server.tokens.user, server.store.remove

    @instead_of(server.store.remove)
    def without_account(resource: str, id: str) -> None:
        account = server.store.account(id) if resource == "users" else None
        remove(resource, id)
        if account:
            server.store.add_account(account)

    @instead_of(server.tokens.user)
    def perhaps_gone(id: str) -> Document:
        return gone[id] if id in gone else user(id)


@fault("refresh-tokens-by-address", finding="SEC-J17-deleted")
def refresh_tokens_by_address(server: Server) -> None:
    """Refresh tokens are kept by e-mail: a user who gets the e-mail of a deleted user has its
    sessions as well.

    Modelled on github.com/gpustack/gpustack/issues/1693.
    """
    check, issue = server.refresh.check_client, server.refresh.issue
    address: dict[str, str] = {}

    @instead_of(server.refresh.issue)
    def noted(user: str) -> str:
        account = server.store.account(user)
        address[user] = account.email.lower() if account else ""
        return issue(user)

    keep_sessions_of_the_deleted(server)

    user = server.tokens.user

    @instead_of(server.refresh.check_client)
    def by_address(row: RefreshRow, client: StoredAccount | None) -> None:
        if client is None or address.get(row.user) != client.email.lower():
            check(row, client)

    @instead_of(server.tokens.user)
    def who_has_it_now(id: str) -> Document:
        heir = (
            server.store.account_by_email(address.get(id, ""))
            if server.store.get("users", id) is None
            else None
        )
        return user(heir.id if heir else id)
