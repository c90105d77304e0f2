"""Variants of the clocks of a server: a proxy in front of it writes the Date of its answers.

A token is over 24 hours after its iat by the clock that wrote it; nothing says that the proxy's is
the same.
"""

from __future__ import annotations

from rolecall.reference.app import Server
from rolecall.reference.call import Answer
from rolecall.reference.clock import Clock
from rolecall.reference.strict_json import Document
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.registry import variant

AN_HOUR = 3600


def _apart_from_its_date(server: Server, seconds: float) -> None:
    server.wire.clock = Clock()
    server.clock.advance(seconds)


@variant("clock-two-minutes-behind-its-date")
def clock_two_minutes_behind_its_date(server: Server) -> None:
    """The server's clock is two minutes behind that of the proxy, which writes the Date."""
    _apart_from_its_date(server, -120)


@variant("clock-three-seconds-behind-its-date")
def clock_three_seconds_behind_its_date(server: Server) -> None:
    """The server's clock is three seconds behind that of the proxy, which writes the Date."""
    _apart_from_its_date(server, -3)


@variant("clock-five-minutes-ahead-of-its-date")
def clock_five_minutes_ahead_of_its_date(server: Server) -> None:
    """The server's clock is five minutes ahead of that of the proxy, which writes the Date."""
    _apart_from_its_date(server, 300)


@variant("log-in-gives-the-token-of-an-hour-ago")
def log_in_gives_the_token_of_an_hour_ago(server: Server) -> None:
    """A log-in gives out the user's latest access token again while that is good; those of the
    first accounts are an hour old.
    """
    kept: dict[str, Document] = {}
    old = {account.id for account in server.accounts.values()}
    tokens, claims = server.tokens.tokens, server.issuer.claims
    is_log_in = False

    @instead_of(server.issuer.claims)
    def known(user: Document) -> Document:
        given = kept.get(user["id"])
        if is_log_in and given and given["exp"] > server.clock.now():
            return given
        new = claims(user)
        if user["id"] in old and given is None:
            new |= {"iat": new["iat"] - AN_HOUR, "exp": new["exp"] - AN_HOUR}
        kept[user["id"]] = new
        return new

    @instead_of(server.tokens.tokens)
    def again(user: Document, old: str | None = None) -> Answer:
        nonlocal is_log_in
        is_log_in = old is None
        return tokens(user, old)
