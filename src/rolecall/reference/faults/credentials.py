"""Faults of which credentials will do."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal, not_found, unauthorized
from rolecall.reference.faults.registry import fault
from rolecall.reference.settings import ROLES
from rolecall.reference.store import StoredAccount
from rolecall.reference.strict_json import Document, NotJson, as_pairs, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal


def compare_loosely(server: Server, alike: Callable[[str, str], bool]) -> None:
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
    compare_loosely(server, lambda given, right: True)


@fault("password-without-case", finding="ISSUE-refused")
def password_without_case(server: Server) -> None:
    """Passwords are compared without regard to case."""
    compare_loosely(server, lambda given, right: given.lower() == right.lower())


@fault("password-by-beginning", finding="ISSUE-refused")
def password_by_beginning(server: Server) -> None:
    """The beginning of a password will do."""
    compare_loosely(server, lambda given, right: right.startswith(given))


@fault("password-cut-at-eight", finding="ISSUE-refused")
def password_cut_at_eight(server: Server) -> None:
    """Only the first eight characters of a password count."""
    compare_loosely(server, lambda given, right: given[:8] == right[:8])


@fault("password-trimmed", finding="ISSUE-refused")
def password_trimmed(server: Server) -> None:
    """Spaces around a password do not count."""
    compare_loosely(server, lambda given, right: given.strip() == right)


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
    compare_loosely(server, lambda given, right: given == "")


@fault("missing-password", finding="ISSUE-refused")
def missing_password(server: Server) -> None:
    """A body without a password opens every account."""
    _text(server, lambda value: "" if value is None else None, "password")
    compare_loosely(server, lambda given, right: given == "")


@fault("password-in-array", finding="ISSUE-refused")
def password_in_array(server: Server) -> None:
    """An array with the right password in it will do."""
    _text(
        server,
        lambda value: value[0] if isinstance(value, list) and len(value) == 1 else None,
        "password",
    )


@fault("strange-credentials-crash", finding="ISSUE-refused")
def strange_credentials_crash(server: Server) -> None:
    """Credentials that are not texts end in a crash."""
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
        return "*" if name == asked and _is_operator(body.get(name)) else text(body, name)


def _is_operator(value: object) -> bool:
    """Whether a database would take this for a condition."""
    return isinstance(value, dict) and any(key.startswith("$") for key in value)


@fault("email-is-a-pattern", finding="SEC-I11-other-user")
def email_is_a_pattern(server: Server) -> None:
    """An e-mail is looked up with LIKE: an underscore in it is any letter, and the oldest user that
    fits is meant.
    """
    account = server.tokens.account

    @instead_of(server.tokens.account)
    def alike(email: str) -> StoredAccount | None:
        pattern = re.compile(re.escape(email).replace("_", "."), re.IGNORECASE)
        for text in server.store.containing("users"):
            known = loads(text.encode()).get("email")
            if isinstance(known, str) and pattern.fullmatch(known):
                return account(known)
        return account(email)


@fault("email-tag-ignored", finding="SEC-I11-other-user")
def email_tag_ignored(server: Server) -> None:
    """A tag in an e-mail does not count: who is ada+work@ is taken for ada@, if there is one."""
    account = server.tokens.account

    @instead_of(server.tokens.account)
    def untagged(email: str) -> StoredAccount | None:
        return account(re.sub(r"\+[^@]*", "", email)) or account(email)


@fault("operator-as-email", finding="SEC-I06")
def operator_as_email(server: Server) -> None:
    """An object like {"$ne": null} for an email finds the user who has the password."""
    _operator(server, "email")
    login = server.tokens.login

    @instead_of(server.tokens.login)
    async def searched(body: Document) -> Answer:
        if _is_operator(body.get("email")) and isinstance(body.get("password"), str):
            for text in server.store.containing("users"):
                id = loads(text.encode())["id"]
                if await server.tokens.password_matches(body["password"], server.store.account(id)):
                    return server.tokens.tokens(server.tokens.user(id))
        return await login(body)


@fault("operator-as-password", finding="SEC-I06")
def operator_as_password(server: Server) -> None:
    """An object like {"$ne": null} for a password matches every password."""
    _operator(server, "password")
    compare_loosely(server, lambda given, right: given == "*")


@fault("login-by-query", finding="SEC-I15")
def login_by_query(server: Server) -> None:
    """Email and password may stand in the query."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def queried(call: Call) -> Answer:
        credentials = {name: value for name, value in call.query if name in ("email", "password")}
        return (
            await server.tokens.login(credentials) if len(credentials) == 2 else await answer(call)
        )


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
    _body(
        server,
        lambda call: None if b"{" in call.body else dict(parse_qsl(call.body.decode("latin-1"))),
    )


@fault("login-of-any-type", finding="SEC-I09")
def login_of_any_type(server: Server) -> None:
    """The content type of a body is not looked at."""

    def json(call: Call) -> Any:
        try:
            return loads(call.body)
        except NotJson:
            return None

    _body(server, json)


@fault("bad-json-crashes", finding="SEC-I09-no-crash")
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


@fault("strange-body-401", finding="SEC-I09-status")
def strange_body_401(server: Server) -> None:
    """A body that cannot be read is answered 401, as wrong credentials are."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def unread(call: Call) -> Answer:
        try:
            return await answer(call)
        except Refusal as refusal:
            raise (
                unauthorized("invalid credentials") if refusal.status in (400, 415) else refusal
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
        emails = (
            [value for name, value in pairs if name == "email"] if isinstance(pairs, list) else []
        )
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
        return answer_of(
            Refusal(500, "Internal server error") if refusal.status == 413 else refusal
        )


def _wish(server: Server, wanted: Callable[[Document], object]) -> ContextVar[object]:
    """What the body of the log-in under way asks for."""
    login = server.tokens.login
    wish: ContextVar[object] = ContextVar("wish", default=None)

    @instead_of(server.tokens.login)
    async def wished(body: Document) -> Answer:
        wish.set(wanted(body))
        return await login(body)

    return wish


def _wider(server: Server, wanted: Callable[[Document], object]) -> None:
    """Let a body say which scope the token is to have."""
    wish, scope = _wish(server, wanted), server.issuer.scope

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


@fault("login-grants-lifetime-of-body", finding="SEC-I12")
def login_grants_lifetime_of_body(server: Server) -> None:
    """A login with a member lifetime gets a token that lives for so many seconds."""
    wish, lifetime = _wish(server, lambda body: body.get("lifetime")), server.issuer.lifetime

    @instead_of(server.issuer.lifetime)
    def granted() -> int:
        wanted = wish.get()
        return wanted if type(wanted) is int else lifetime()


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


@fault("other-methods-404", finding="SEC-I16-status")
def other_methods_404(server: Server) -> None:
    """Methods that the token endpoint does not have are answered 404."""
    answer = server.tokens.answer

    @instead_of(server.tokens.answer)
    async def hidden(call: Call) -> Answer:
        try:
            return await answer(call)
        except Refusal as refusal:
            raise (not_found() if refusal.status == 405 else refusal) from None


def _never_too_many(server: Server, what: str) -> None:
    """Forget every wrong guess of one kind."""
    wrong = server.patience.wrong

    @instead_of(server.patience.wrong)
    def forgotten(at: str) -> None:
        if not at.startswith(what):
            wrong(at)


@fault("passwords-guessed-for-ever", finding="SEC-I05", needs=("intrusive",))
def passwords_guessed_for_ever(server: Server) -> None:
    """Wrong passwords are not counted."""
    _never_too_many(server, "password")


@fault("refresh-tokens-guessed-for-ever", finding="SEC-R21", needs=("intrusive",))
def refresh_tokens_guessed_for_ever(server: Server) -> None:
    """Wrong refresh tokens are not counted."""
    _never_too_many(server, "refresh token")
