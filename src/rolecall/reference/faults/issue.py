"""Faults of what a login answers, and of the token in it."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.faults.expiry import HOUR
from rolecall.reference.faults.registry import fault
from rolecall.reference.permissions import RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.strict_json import Document, dumps, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.variants.refreshing import refresh_tokens_reusable

# --- the answer ---------------------------------------------------------------------------------


def _answer(
    server: Server, change: Callable[[Document], Document | None], status: int | None = None
) -> None:
    """Change what the token endpoint answers to a login; a refresh is left alone."""
    tokens = server.tokens.tokens

    @instead_of(server.tokens.tokens)
    def changed(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        if old is None:
            document = loads(answer.body)
            answer.body = dumps(change(document) or document).encode()
            answer.status = status or answer.status
        return answer


def _without(name: str) -> Callable[[Document], Document]:
    return lambda document: {key: value for key, value in document.items() if key != name}


@fault("login-202", finding="ISSUE-status")
def login_202(server: Server) -> None:
    """A login is answered 202."""
    _answer(server, lambda document: document, 202)


@fault("login-without-token-type", finding="ISSUE-fields")
def login_without_token_type(server: Server) -> None:
    """The answer lacks tokenType."""
    _answer(server, _without("tokenType"))


@fault("login-without-refresh-token", finding="ISSUE-fields")
def login_without_refresh_token(server: Server) -> None:
    """The answer lacks refreshToken."""
    _answer(server, _without("refreshToken"))


@fault("login-without-user", finding="ISSUE-fields")
def login_without_user(server: Server) -> None:
    """The answer lacks user."""
    _answer(server, _without("user"))


@fault("login-without-scope", finding="ISSUE-fields")
def login_without_scope(server: Server) -> None:
    """The answer lacks scope."""
    _answer(server, _without("scope"))


@fault("token-type-is-jwt", finding="ISSUE-fields")
def token_type_is_jwt(server: Server) -> None:
    """TokenType is JWT."""
    _answer(server, lambda document: document | {"tokenType": "JWT"})


@fault("token-in-another-field", finding="ISSUE-fields")
def token_in_another_field(server: Server) -> None:
    """The token is called accessToken."""
    _answer(
        server, lambda document: _without("token")(document) | {"accessToken": document["token"]}
    )


@fault("user-of-another", finding="ISSUE-user")
def user_of_another(server: Server) -> None:
    """The answer's user is not the one in the token."""
    _answer(server, lambda document: document | {"user": secrets.token_hex(12)})


@fault("scope-of-answer-differs", finding="ISSUE-scope")
def scope_of_answer_differs(server: Server) -> None:
    """The answer's scope is one higher than the token's."""
    _answer(server, lambda document: document | {"scope": _higher(document["scope"])})


@fault("new-bots-are-admins", finding="ISSUE-scope")
def new_bots_are_admins(server: Server) -> None:
    """Bots that are made by the API have the scope admin, so that they can set themselves up; they
    are shown as bots.
    """
    scope = server.issuer.scope

    @instead_of(server.issuer.scope)
    def setting_up(user: Document) -> str:
        is_new = user["id"] not in {account.id for account in server.accounts.values()}
        return "admin" if user["role"] == "bot" and is_new else scope(user)


def _higher(role: str) -> str:
    return ROLES[min(RANK[role] + 1, len(ROLES) - 1)]


# --- the token ---------------------------------------------------------------------------------


def _claims(server: Server, change: Callable[[Document], Document]) -> None:
    """Change what every issued token says."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def changed(user: Document) -> Document:
        return change(claims(user))


@fault("opaque-access-token", finding="ISSUE-jwt")
def opaque_access_token(server: Server) -> None:
    """The token is a number of chance, as in the specification's curl example."""
    write = server.issuer.write
    token_of = server.bearer.token
    known: dict[str, str] = {}

    @instead_of(server.issuer.write)
    def opaque(claims: Document) -> str:
        token = secrets.token_hex(16)
        known[token] = write(claims)
        return token

    @instead_of(server.bearer.token)
    def looked_up(call: Call) -> str:
        token = token_of(call)
        return known.get(token, token)


@fault("jwt-without-iat", finding="ISSUE-jwt")
def jwt_without_iat(server: Server) -> None:
    """The token does not say when it was issued."""
    _claims(server, _without("iat"))


@fault("jwt-without-user", finding="ISSUE-jwt")
def jwt_without_user(server: Server) -> None:
    """The token calls its user sub instead of _id."""
    _claims(server, lambda claims: _without("_id")(claims) | {"sub": claims["_id"]})
    subject = server.verifier.subject

    @instead_of(server.verifier.subject)
    def sub(claims: Document) -> Document:
        return subject({"_id": claims.get("sub"), **claims})


def _scope_claim(server: Server, write: Callable[[str], object]) -> None:
    """Write the scope claim in another way, and still understand it."""
    _claims(server, lambda claims: claims | {"scope": write(claims["scope"])})
    tokens = server.tokens.tokens

    @instead_of(server.verifier.scopes)
    def understood(claims: Document) -> frozenset[str]:
        return frozenset(
            role for role in ROLES if role in str(claims.get("scope")).replace(",", " ")
        )

    @instead_of(server.tokens.tokens)
    def role_in_answer(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        answer.body = dumps(loads(answer.body) | {"scope": user["role"]}).encode()
        return answer


@fault("scope-claim-array", finding="SCOPE-string")
def scope_claim_array(server: Server) -> None:
    """The scope of a token is an array."""
    _scope_claim(server, lambda role: [role])


@fault("scope-claim-with-commas", finding="SCOPE-string")
def scope_claim_with_commas(server: Server) -> None:
    """The scopes of a token have commas between them."""
    _scope_claim(server, lambda role: ",".join(ROLES[: RANK[role] + 1]))


@fault("scope-claim-with-two-spaces", finding="SCOPE-string")
def scope_claim_with_two_spaces(server: Server) -> None:
    """The scopes of a token have two spaces between them."""
    _scope_claim(server, lambda role: "  ".join(ROLES[: RANK[role] + 1]))


@fault("scope-claim-with-unknown-name", finding="SCOPE-string")
def scope_claim_with_unknown_name(server: Server) -> None:
    """The scopes of a token hold a name that the specification does not know."""
    _scope_claim(server, lambda role: f"{role} everything")


@fault("scope-too-wide", finding="ISSUE-scope")
def scope_too_wide(server: Server) -> None:
    """A guest's token has the scope agent."""
    scope = server.issuer.scope

    @instead_of(server.issuer.scope)
    def wide(user: Document) -> str:
        return "agent" if user["role"] == "guest" else scope(user)


@fault("scope-too-narrow", finding="ISSUE-scope")
def scope_too_narrow(server: Server) -> None:
    """A bot's token has the scope agent."""
    scope = server.issuer.scope

    @instead_of(server.issuer.scope)
    def narrow(user: Document) -> str:
        return "agent" if user["role"] == "bot" else scope(user)


@fault("token-of-the-last-login", finding="ISSUE-user")
def token_of_the_last_login(server: Server) -> None:
    """A login is answered with the token of the login before."""
    write = server.issuer.write
    last: list[str] = []

    @instead_of(server.issuer.write)
    def cached(claims: Document) -> str:
        last.append(write(claims))
        return (
            last[-2] if len(last) > 1 and claims.get("grant_type") == "access_token" else last[-1]
        )


@fault("same-token-for-every-login", finding="SEC-I18")
def same_token_for_every_login(server: Server) -> None:
    """A user who logs in twice within the hour gets the same token and the same refresh token,
    which may be used again.
    """
    refresh_tokens_reusable(server)
    tokens = server.tokens.tokens
    given: dict[tuple[str, str, int], bytes] = {}

    @instead_of(server.tokens.tokens)
    def again(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        if old is None:
            answer.body = given.setdefault(
                (user["id"], user["role"], int(server.clock.now() // HOUR)), answer.body
            )
        return answer


@fault("password-hash-in-token", finding="SEC-I19")
def password_hash_in_token(server: Server) -> None:
    """The token carries the hash of the user's password."""
    claims = server.issuer.claims

    @instead_of(server.issuer.claims)
    def talkative(user: Document) -> Document:
        account = server.store.account(user["id"])
        return {**claims(user), "password": account.password if account else None}


@fault("counted-refresh-tokens", finding="SEC-I17")
def counted_refresh_tokens(server: Server) -> None:
    """The secret of a refresh token is a number that counts up."""
    issued = iter(range(1, 10**9))

    @instead_of(server.refresh.secret)
    def counted(user: str) -> str:
        return f"{user}.{next(issued):080x}"


@fault("tokens-may-be-cached", finding="SEC-I13")
def tokens_may_be_cached(server: Server) -> None:
    """Token answers do not forbid to be kept."""

    @instead_of(server.tokens.cache_headers)
    def none() -> dict[str, str]:
        return {}
