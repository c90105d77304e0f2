"""Faults that show what is stored and not meant to be seen."""

from __future__ import annotations

from typing import Any

from rolecall.reference.alterations import body_of
from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import Change
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

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
