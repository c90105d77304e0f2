"""Faults of times: how they are written, read and compared, or not compared at all."""

from __future__ import annotations

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.clock import iso
from rolecall.reference.faults.expiry import (
    HOUR,
    despite_expiry,
    ignore_expiry,
    refresh_by_expired_bearers,
)
from rolecall.reference.faults.registry import fault
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import LIFETIME

CLOCK = ("clock",)

# --- units and zones ----------------------------------------------------------------------------


@fault("clock-behind-by-the-zone", finding="SEC-T03-beyond-leeway", needs=("signing-key",))
def clock_behind_by_the_zone(server: Server) -> None:
    """Now is read in UTC and taken for local time, which is two hours ahead: every token is good
    for two hours after its end.

    Modelled on thecem/octopus_germany issue 105.
    """

    @instead_of(server.verifier.expired)
    def naively(exp: int) -> bool:
        return server.clock.now() - 2 * HOUR >= exp


@fault("issued-in-milliseconds", finding="ISSUE-lifetime")
def issued_in_milliseconds(server: Server) -> None:
    """The time of issue is written in milliseconds, the end in seconds.

    Modelled on GLO3102/UFood issue 47.
    """
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def mixed(user: Document) -> Document:
        document = claims(user)
        return {**document, "iat": int(server.clock.now() * 1000)}


@fault("times-are-texts", finding="ISSUE-jwt")
def times_are_texts(server: Server) -> None:
    """The times in a token are written as people read them, and compared as texts.

    Modelled on tuupola/slim-jwt-auth issue 104.
    """
    claims, check = server.issuer.claims, server.verifier.check_times
    expires_at = server.tokens.expires_at

    def written(seconds: float) -> str:
        return iso(seconds)[:19].replace("T", " ")

    @instead_of(server.issuer.claims)
    def as_texts(user: Document) -> Document:
        document = claims(user)
        return {**document, "iat": written(document["iat"]), "exp": written(document["exp"])}

    @instead_of(server.tokens.expires_at)
    def shown(claims: Document) -> str:
        return expires_at({name: value for name, value in claims.items() if name != "exp"})

    @instead_of(server.verifier.check_times)
    def compared_as_texts(claims: Document) -> None:
        exp = claims.get("exp")
        if not isinstance(exp, str):
            check(claims)
        elif exp <= written(server.clock.now()):
            raise server.verifier.expiry()


@fault("lifetime-counted-in-minutes-on-post", finding="REFRESH-new-token")
def lifetime_counted_in_minutes_on_post(server: Server) -> None:
    """POST refresh has a setting of its own for the lifetime, 1440, which is meant in minutes and
    read in seconds.

    Modelled on child-first-authority-fcc-project/webapp issue 77.
    """
    after = server.tokens.refresh_after_expiry

    @instead_of(server.tokens.refresh_after_expiry)
    def short(call: Call, body: Document) -> Answer:
        answer = after(call, body)
        document = loads(answer.body)
        claims = server.verifier.checked_claims(document["token"])
        document["token"] = server.issuer.write({**claims, "exp": claims["iat"] + LIFETIME // 60})
        answer.body = dumps(document).encode()
        return answer


# --- where the end is not looked at ------------------------------------------------------------


@fault("expired-heads-still", finding="EXPIRY-403", needs=CLOCK)
def expired_heads_still(server: Server) -> None:
    """HEAD is routed like GET, and its token checked by code that asks whether it is GET: an
    expired one gets through.

    Modelled on https://blog.teddykatz.com/2019/11/05/github-oauth-bypass.html.
    """
    ignore_expiry(server, lambda call: call.method == "HEAD")


@fault("expired-nested-still", finding="EXPIRY-403", needs=CLOCK)
def expired_nested_still(server: Server) -> None:
    """Under a conversation its messages have a middleware of their own, for guests who stay long,
    that forgives expiry.

    Modelled on nimbleflux/fluxbase pull request 304.
    """
    ignore_expiry(server, lambda call: call.conversation is not None)


@fault("expired-searches-still", finding="EXPIRY-403", needs=CLOCK)
def expired_searches_still(server: Server) -> None:
    """A list with a query is a search, and searches were set to ignore the expiry of tokens.

    Modelled on nearform/fastify-auth0-verify issue 189.
    """
    ignore_expiry(
        server,
        lambda call: (
            call.verb == "GET" and call.id is None and call.resource != "" and bool(call.query)
        ),
    )


@fault("expired-self-still", finding="EXPIRY-403", needs=CLOCK)
def expired_self_still(server: Server) -> None:
    """So that a client can say who was logged in, one may fetch the own user with a token that has
    expired.

    Modelled on auth0/express-jwt issue 194.
    """

    def own(call: Call) -> bool:
        principal = despite_expiry(server, call)
        return call.verb == "GET" and server.dispatcher.is_self(call, principal)

    ignore_expiry(server, own)


@fault("expired-bearer-refreshes-with-client-id", finding="REFRESH-get-expired", needs=CLOCK)
def expired_bearer_refreshes_with_client_id(server: Server) -> None:
    """GET refresh takes an expired bearer if the clientId, as for POST, stands in the query.

    Modelled on tjoudeh/AngularJSAuthentication issue 39.
    """
    refresh_by_expired_bearers(
        server, lambda call: any(name == "clientId" for name, _ in call.query)
    )


@fault("expired-bearer-refreshes-for-an-hour", finding="REFRESH-get-expired", needs=CLOCK)
def expired_bearer_refreshes_for_an_hour(server: Server) -> None:
    """For an hour after its end a token is still good enough to be refreshed.

    Modelled on dusktreader/flask-praetorian issue 229.
    """
    refresh_by_expired_bearers(
        server, lambda call: server.clock.now() < despite_expiry(server, call).claims["exp"] + HOUR
    )
