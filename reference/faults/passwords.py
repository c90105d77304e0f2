"""Faults of answers that tell a password, or what is kept of one."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.jsontext import Document, dumps, loads
from rolecall.reference.resources import Change
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


@fault("new-user-shows-password", finding="SEC-I20")
def new_user_shows_password(server: Server) -> None:
    """The answer that has a new user has its password, too.

    Modelled on github.com/foss42/api/issues/95.
    """
    new_user = server.resources.new_user

    @instead_of(server.resources.new_user)
    async def as_sent(change: Change) -> Document:
        password = change.members.get("password")
        document = await new_user(change)
        return {**document, "password": password} if password else document


def _users(server: Server, extra: Callable[[Document], Document]) -> None:
    """Show more of each user than its members."""
    fetch = server.resources.fetch

    @instead_of(server.resources.fetch)
    def more(call: Call, principal: Principal, resource: str, id: str) -> Answer:
        answer = fetch(call, principal, resource, id)
        if resource == "users":
            document = loads(answer.body)
            answer.body = dumps({**document, **extra(document)}).encode()
        return answer


def _kept(server: Server, user: Document) -> str:
    account = server.store.account(str(user.get("id")))
    return (account.password if account else None) or ""


@fault("user-shows-password-hash", finding="SEC-I20")
def user_shows_password_hash(server: Server) -> None:
    """A user that is fetched has a member passwordHash.

    Modelled on github.com/bloom-housing/bloom/issues/654 and strapi/strapi/issues/762.
    """
    _users(server, lambda user: {"passwordHash": _kept(server, user)})


@fault("user-shows-local-auth", finding="SEC-I20")
def user_shows_local_auth(server: Server) -> None:
    """A user that is fetched has an object with hash and salt in it.

    Modelled on github.com/HabitRPG/habitica/issues/682.
    """

    def local(user: Document) -> Document:
        _, salt, kept = (_kept(server, user) or "$$").split("$")
        return {"auth": {"local": {"hash": kept, "salt": salt}}}

    _users(server, local)


@fault("users-listed-with-password-hash", finding="SEC-I20")
def users_listed_with_password_hash(server: Server) -> None:
    """The list of users has their hashes under password; a user that is fetched has not.

    Modelled on github.com/goharbor/harbor/issues/6838.
    """
    listing = server.resources.listing

    @instead_of(server.resources.listing)
    def more(call: Call, principal: Principal, resource: str) -> Answer:
        answer = listing(call, principal, resource)
        if resource == "users":
            answer.body = dumps([{**user, "password": _kept(server, user)} for user in loads(answer.body)]).encode()
        return answer
