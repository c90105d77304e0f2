"""Variants of how soon a new user is known: nothing is said of replicas (AMB-17)."""

from __future__ import annotations

import time

from rolecall.reference.alterations import body_of
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import not_found
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.registry import variant

LAG = 0.4
"""Seconds until a new user is known everywhere."""


class JustMade:
    """The users that were made less than `LAG` seconds ago."""

    def __init__(self, server: Server) -> None:
        self._known: dict[str, float] = {}  # by id: from when on
        add = server.store.add

        @instead_of(server.store.add)
        def added(resource: str, id: str, body: str) -> None:
            add(resource, id, body)
            if resource == "users":
                self._known[id] = time.monotonic() + LAG

    def is_new(self, id: object) -> bool:
        """Whether a user is not known yet."""
        return self._known.get(str(id), 0.0) > time.monotonic()


@variant("new-users-are-late")
def new_users_are_late(server: Server) -> None:
    """For 0.4 s a new user cannot log in, and is not found by its id, as of a replica."""
    new = _log_in_late(server)
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def late(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        if resource == "users" and new.is_new(id):
            raise not_found()
        return fetch(call, principal, resource, id)


@variant("new-users-log-in-late")
def new_users_log_in_late(server: Server) -> None:
    """For 0.4 s a new user cannot log in, though it is there, as where log-ins ask a replica."""
    _log_in_late(server)


def _log_in_late(server: Server) -> JustMade:
    new, account_of = JustMade(server), server.tokens.account

    @instead_of(server.tokens.account)
    def known(email: str) -> StoredAccount | None:
        account = account_of(email)
        return None if account and new.is_new(account.id) else account

    return new


@variant("tokens-of-new-users-are-late")
def tokens_of_new_users_are_late(server: Server) -> None:
    """For 0.4 s the tokens of a new user are refused, as where the users of tokens are asked of a
    replica.
    """
    new, subject = JustMade(server), server.verifier.subject

    @instead_of(server.verifier.subject)
    def known(claims: Document) -> Document:
        if new.is_new(claims.get("_id")):
            raise server.verifier.invalid()
        return subject(claims)


@variant("users-without-a-role-wait")
def users_without_a_role_wait(server: Server) -> None:
    """A user who is made without a role logs in once somebody has given one."""
    waiting: set[str] = set()
    create, update, account_of = (
        server.resources.create,
        server.resources.update,
        server.tokens.account,
    )

    @instead_of(server.resources.create)
    async def noted(call: Call, principal: Principal, resource: str) -> Answer:
        answer = await create(call, principal, resource)
        if resource == "users" and "role" not in body_of(call):
            waiting.add(loads(answer.body)["id"])
        return answer

    @instead_of(server.resources.update)
    async def given(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        answer = await update(call, principal, resource, id)
        if "role" in body_of(call):
            waiting.discard(id)
        return answer

    @instead_of(server.tokens.account)
    def ready(email: str) -> StoredAccount | None:
        account = account_of(email)
        return None if account and account.id in waiting else account
