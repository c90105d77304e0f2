"""Faults of how tokens are issued for a password."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, unauthorized
from rolecall.reference.faults.registry import fault
from rolecall.reference.jsontext import Document, NotJson, as_pairs, dumps, loads
from rolecall.reference.permissions import RANK
from rolecall.reference.settings import ROLES
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal

# --- the answer --------------------------------------------------------------------------------------------


def _answer(server: Server, change: Callable[[Document], Document | None], status: int | None = None) -> None:
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
    _answer(server, lambda document: _without("token")(document) | {"accessToken": document["token"]})


@fault("user-of-another", finding="ISSUE-user")
def user_of_another(server: Server) -> None:
    """The answer's user is not the one in the token."""
    _answer(server, lambda document: document | {"user": secrets.token_hex(12)})


@fault("scope-of-answer-differs", finding="ISSUE-scope")
def scope_of_answer_differs(server: Server) -> None:
    """The answer's scope is one higher than the token's."""
    _answer(server, lambda document: document | {"scope": _higher(document["scope"])})


def _higher(role: str) -> str:
    return ROLES[min(RANK[role] + 1, len(ROLES) - 1)]


# --- the token ---------------------------------------------------------------------------------------------


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


@fault("jwt-with-fractions", finding="ISSUE-jwt")
def jwt_with_fractions(server: Server) -> None:
    """Iat and exp are fractions of seconds."""
    _claims(server, lambda claims: claims | {"iat": claims["iat"] + 0.25, "exp": claims["exp"] + 0.25})
    instant = server.verifier.instant

    @instead_of(server.verifier.instant)
    def either(value: object) -> int:
        return int(value) if isinstance(value, float) else instant(value)


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
        return frozenset(role for role in ROLES if role in str(claims.get("scope")).replace(",", " "))

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
    """Whoever logs in gets the token of whoever logged in before."""
    write = server.issuer.write
    last: list[str] = []

    @instead_of(server.issuer.write)
    def cached(claims: Document) -> str:
        last.append(write(claims))
        return last[-2] if len(last) > 1 and claims.get("grant_type") == "access_token" else last[-1]


@fault("same-token-for-every-login", finding="SEC-I18")
def same_token_for_every_login(server: Server) -> None:
    """A user who logs in twice gets the same token and the same refresh token."""
    tokens = server.tokens.tokens
    given: dict[str, bytes] = {}

    @instead_of(server.tokens.tokens)
    def again(user: Document, old: str | None = None) -> Answer:
        answer = tokens(user, old)
        fresh = old is not None or server.clock.offset != 0
        answer.body = answer.body if fresh else given.setdefault(user["id"] + user["role"], answer.body)
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


# --- the credentials ---------------------------------------------------------------------------------------


def _passwords(server: Server, alike: Callable[[str, str], bool]) -> None:
    """Compare passwords loosely. What they are is remembered for that."""
    hash_one = server.passwords.hash
    compare = server.passwords.compare
    known: dict[str, str] = {}
    for credentials in server.accounts.values():
        account = server.store.account(credentials.id)
        if account and account.password and credentials.password:
            known[account.password] = credentials.password

    @instead_of(server.passwords.hash)
    def remembered(password: str) -> str:
        hashed = hash_one(password)
        known[hashed] = password
        return hashed

    @instead_of(server.passwords.compare)
    def loosely(password: str, kept: str) -> bool:
        return (kept in known and alike(password, known[kept])) or compare(password, kept)


@fault("any-password", finding="ISSUE-refused")
def any_password(server: Server) -> None:
    """Any password will do."""
    _passwords(server, lambda given, right: True)


@fault("password-without-case", finding="ISSUE-refused")
def password_without_case(server: Server) -> None:
    """Passwords are compared without regard to case."""
    _passwords(server, lambda given, right: given.lower() == right.lower())


@fault("password-by-beginning", finding="ISSUE-refused")
def password_by_beginning(server: Server) -> None:
    """The beginning of a password will do."""
    _passwords(server, lambda given, right: right.startswith(given))


@fault("password-cut-at-eight", finding="ISSUE-refused")
def password_cut_at_eight(server: Server) -> None:
    """Only the first eight characters of a password count."""
    _passwords(server, lambda given, right: given[:8] == right[:8])


@fault("password-trimmed", finding="ISSUE-refused")
def password_trimmed(server: Server) -> None:
    """Spaces around a password do not count."""
    _passwords(server, lambda given, right: given.strip() == right)


def _text(server: Server, read: Callable[[Any], str | None], *only: str) -> None:
    """Read members of the body that are not texts."""
    text = server.tokens.text

    @instead_of(server.tokens.text)
    def lenient_text(body: Document, name: str) -> str:
        found = read(body.get(name)) if name in only else None
        return text(body, name) if found is None else found


@fault("empty-password", finding="ISSUE-refused")
def empty_password(server: Server) -> None:
    """An empty password opens every account."""
    _text(server, lambda value: "" if value == "" else None, "password")
    _passwords(server, lambda given, right: given == "")


@fault("missing-password", finding="ISSUE-refused")
def missing_password(server: Server) -> None:
    """A body without a password opens every account."""
    _text(server, lambda value: "" if value is None else None, "password")
    _passwords(server, lambda given, right: given == "")


@fault("password-in-array", finding="ISSUE-refused")
def password_in_array(server: Server) -> None:
    """An array with the right password in it will do."""
    _text(server, lambda value: value[0] if isinstance(value, list) and len(value) == 1 else None, "password")


@fault("strange-credentials-crash", finding="ISSUE-refused")
def strange_credentials_crash(server: Server) -> None:
    """Credentials that are no texts end in a crash."""
    text = server.tokens.text

    @instead_of(server.tokens.text)
    def fragile(body: Document, name: str) -> str:
        if not isinstance(body.get(name, ""), str):
            raise TypeError(name)
        return text(body, name)


def _operator(server: Server, asked: str) -> None:
    """Let an object stand for a text, as a database that is asked too literally would."""
    text = server.tokens.text

    @instead_of(server.tokens.text)
    def asked_literally(body: Document, name: str) -> str:
        value = body.get(name)
        if name == asked and isinstance(value, dict) and any(key.startswith("$") for key in value):
            return "*"
        return text(body, name)


@fault("operator-as-email", finding="SEC-I06")
def operator_as_email(server: Server) -> None:
    """An object like {"$ne": null} for an email finds whoever has the password."""
    _operator(server, "email")
    login = server.tokens.login

    @instead_of(server.tokens.login)
    async def searched(body: Document) -> Answer:
        if isinstance(body.get("email"), dict) and isinstance(body.get("password"), str):
            for one in server.accounts.values():
                if await server.tokens.password_matches(body["password"], server.store.account(one.id)):
                    return server.tokens.tokens(server.tokens.user(one.id))
        return await login(body)


@fault("operator-as-password", finding="SEC-I06")
def operator_as_password(server: Server) -> None:
    """An object like {"$ne": null} for a password matches every password."""
    _operator(server, "password")
    _passwords(server, lambda given, right: given == "*")


@fault("login-by-query", finding="SEC-I15")
def login_by_query(server: Server) -> None:
    """Email and password may stand in the query."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def queried(call: Call) -> Answer:
        credentials = {name: value for name, value in call.query if name in ("email", "password")}
        return await server.tokens.login(credentials) if len(credentials) == 2 else await answer(call)


def _body(server: Server, read: Callable[[Call], Any]) -> None:
    """Read the body of a login in another way; None leaves it to the right one."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def read_otherwise(call: Call) -> Answer:
        body = read(call) if call.method == "POST" else None
        if isinstance(body, dict) and {"email", "password"} <= body.keys():
            return await server.tokens.login(body)
        return await answer(call)


@fault("login-by-form", finding="SEC-I09")
def login_by_form(server: Server) -> None:
    """A form is as good as JSON."""
    _body(server, lambda call: None if b"{" in call.body else dict(parse_qsl(call.body.decode("latin-1"))))


@fault("login-of-any-type", finding="SEC-I09")
def login_of_any_type(server: Server) -> None:
    """The content type of a body is not looked at."""

    def json(call: Call) -> Any:
        try:
            return loads(call.body)
        except NotJson:
            return None

    _body(server, json)


@fault("bad-json-crashes", finding="SEC-I09")
def bad_json_crashes(server: Server) -> None:
    """A body that is not JSON ends in a crash."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def fragile(call: Call) -> Answer:
        try:
            return await answer(call)
        except Refusal as refusal:
            raise (
                RuntimeError("Unexpected token")
                if refusal.message == "The body is not valid JSON"
                else refusal
            ) from None


@fault("duplicate-credentials", finding="SEC-I08")
def duplicate_credentials(server: Server) -> None:
    """Of two emails the password is checked with the last, and the token made for the first."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def mixed_up(call: Call) -> Answer:
        try:
            pairs = loads(call.body, as_pairs) if call.method == "POST" else []
        except NotJson:
            pairs = []
        emails = [value for name, value in pairs if name == "email"] if isinstance(pairs, list) else []
        if len(emails) < 2:
            return await answer(call)
        last = server.tokens.account(str(emails[-1]))
        victim = server.tokens.account(str(emails[0]))
        if victim and await server.tokens.password_matches(str(dict(pairs).get("password")), last):
            return server.tokens.tokens(server.tokens.user(victim.id))
        raise unauthorized("invalid credentials")


@fault("large-body-crashes", finding="SEC-I10")
def large_body_crashes(server: Server) -> None:
    """A body that is too large ends in a crash."""
    answer_of = server.refusal

    @instead_of(server.refusal)
    def crash(refusal: Refusal) -> Answer:
        return answer_of(Refusal(500, "Internal server error") if refusal.status == 413 else refusal)


def _wider(server: Server, wanted: Callable[[Document], object]) -> None:
    """Let a body say which scope the token is to have."""
    login = server.tokens.login
    scope = server.issuer.scope
    wish: ContextVar[object] = ContextVar("wish", default=None)

    @instead_of(server.tokens.login)
    async def wished(body: Document) -> Answer:
        wish.set(wanted(body))
        return await login(body)

    @instead_of(server.issuer.scope)
    def granted(user: Document) -> str:
        return str(wish.get()) if wish.get() in ROLES else scope(user)


@fault("login-grants-scope-of-body", finding="SEC-I12")
def login_grants_scope_of_body(server: Server) -> None:
    """A login with a member scope gets that scope."""
    _wider(server, lambda body: body.get("scope"))


@fault("login-grants-role-of-body", finding="SEC-I12")
def login_grants_role_of_body(server: Server) -> None:
    """A login with a member role gets that role's scope."""
    _wider(server, lambda body: body.get("role"))


@fault("put-issues-tokens", finding="SEC-I16")
def put_issues_tokens(server: Server) -> None:
    """PUT and PATCH are as good as POST at the token endpoint."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def any_method(call: Call) -> Answer:
        if call.method in ("PUT", "PATCH"):
            call.method = "POST"
        return await answer(call)


@fault("get-without-refresh-token", finding="SEC-I16")
def get_without_refresh_token(server: Server) -> None:
    """GET with a bearer and without a refresh token gives new tokens."""
    before = server.tokens.refresh_before_expiry

    @instead_of(server.tokens.refresh_before_expiry)
    def given_away(call: Call) -> Answer:
        if not any(name.startswith("refreshToken") for name, _ in call.query):
            principal: Principal = server.guard.authenticate(call)
            return server.tokens.tokens(principal.user)
        return before(call)
