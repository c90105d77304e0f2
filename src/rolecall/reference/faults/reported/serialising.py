"""Faults of answers that show more of a user's row than they should."""

from __future__ import annotations

from rolecall.reference.app import Server
from rolecall.reference.call import Answer
from rolecall.reference.faults.registry import fault
from rolecall.reference.resources import Change
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of


def _row(server: Server, user: Document) -> Document:
    """A user with the columns beside the document."""
    account = server.store.account(str(user.get("id")))
    return {**user, "passwordHash": account.password} if account and account.password else user


@fault("update-shows-the-hash", finding="SEC-I20")
def update_shows_the_hash(server: Server) -> None:
    """An update of a user is answered with the row that was saved, the hash of the password in it.

    Modelled on christiansmith/OAuth2Server issue 4.
    """
    updated = server.resources.updated

    @instead_of(server.resources.updated)
    def as_saved(document: Document) -> Answer:
        return updated(_row(server, document) if "email" in document else document)


@fault("create-shows-the-password", finding="SEC-I20")
def create_shows_the_password(server: Server) -> None:
    """The answer to a new user is what was asked for, with the password that was sent.

    Modelled on zwave-js/zwave-js-ui pull request 4687.
    """
    new_user = server.resources.new_user

    @instead_of(server.resources.new_user)
    async def as_sent(change: Change) -> Document:
        password = change.members.get("password")
        document = await new_user(change)
        return document if password is None else {**document, "password": password}


@fault("users-of-lists-show-the-hash", finding="SEC-I20")
def users_of_lists_show_the_hash(server: Server) -> None:
    """The list of users is read from the table with all of its columns, the fetch through a
    serialiser.

    Modelled on dasch-swiss/dsp-api issue 13.
    """
    page = server.store.page

    @instead_of(server.store.page)
    def all_columns(resource: str, limit: int, offset: int) -> list[str]:
        texts = page(resource, limit, offset)
        return (
            [dumps(_row(server, loads(text.encode()))) for text in texts]
            if resource == "users"
            else texts
        )


@fault("users-of-lists-show-their-refresh-token", finding="SEC-I20")
def users_of_lists_show_their_refresh_token(server: Server) -> None:
    """The newest refresh token of each user is a column of the table, and so of the list."""
    newest: dict[str, str] = {}
    grant, page = server.tokens.next_refresh_token, server.store.page

    @instead_of(server.tokens.next_refresh_token)
    def kept(user: Document, old: str | None) -> str:
        newest[user["id"]] = token = grant(user, old)
        return token

    @instead_of(server.store.page)
    def all_columns(resource: str, limit: int, offset: int) -> list[str]:
        rows = [loads(text.encode()) for text in page(resource, limit, offset)]
        return [
            dumps({**row, "refreshToken": newest[row["id"]]} if row.get("id") in newest else row)
            for row in rows
        ]
