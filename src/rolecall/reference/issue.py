"""`/v2/auth/token`: "Requesting and Refreshing API Tokens"."""

from __future__ import annotations

import re

from rolecall.reference.call import Answer, Call
from rolecall.reference.clock import iso
from rolecall.reference.errors import bad_request, method_not_allowed, unauthorized
from rolecall.reference.guard import Guard
from rolecall.reference.lockout import LockoutPolicy
from rolecall.reference.passwords import Passwords
from rolecall.reference.refresh import RefreshPolicy
from rolecall.reference.settings import Dialect
from rolecall.reference.store import Store, StoredAccount
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.tokens import DISABLED, Principal, TokenIssuer

LONGEST = 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class TokenRoutes:
    """Issues tokens for a password, or for a refresh token on either path."""

    def __init__(
        self,
        store: Store,
        issuer: TokenIssuer,
        refresh: RefreshPolicy,
        passwords: Passwords,
        guard: Guard,
        patience: LockoutPolicy,
        dialect: Dialect,
    ) -> None:
        self.store = store
        self.issuer = issuer
        self.refresh = refresh
        self.passwords = passwords
        self.guard = guard
        self.patience = patience
        self.dialect = dialect

    async def answer(self, call: Call) -> Answer:
        """Tell the three ways of asking apart."""
        if call.method == "GET":
            return self.refresh_before_expiry(call)
        if call.method != "POST":
            raise method_not_allowed("GET", "POST")
        body = call.json()
        if not isinstance(body, dict):
            raise bad_request("The body has to be an object")
        login = "email" in body or "password" in body
        refreshing = "refreshToken" in body or "clientId" in body
        if login and refreshing:
            return await self.mixed(body)
        if refreshing:
            return self.refresh_after_expiry(call, body)
        return await self.login(body)

    async def mixed(self, body: Document) -> Answer:
        """Both ways in one body."""
        raise bad_request("Either email and password, or refreshToken and clientId")

    async def login(self, body: Document) -> Answer:
        """Issue tokens for "the users's email and password"."""
        email = self.text(body, "email")
        password = self.text(body, "password")
        with self.patience.guess(f"password of {email.lower()}"):
            account = self.account(email)
            if not await self.password_matches(password, account):
                raise self.wrong_credentials(account)
            assert account is not None  # a password cannot match no account
            return self.tokens(self.user(account.id))

    def text(self, body: Document, name: str) -> str:
        """A member that has to be a plain text."""
        value = body.get(name)
        if (
            not isinstance(value, str)
            or not value
            or len(value) > LONGEST
            or _CONTROL.search(value)
        ):
            raise bad_request(f"{name} has to be a text")
        return value

    def account(self, email: str) -> StoredAccount | None:
        """The account of an address."""
        return self.store.account_by_email(email) if email.isprintable() else None

    async def password_matches(self, password: str, account: StoredAccount | None) -> bool:
        """Whether it is the account's password; it takes as long if there is no account."""
        return await self.passwords.matches(password, account.password if account else None)

    def wrong_credentials(self, account: StoredAccount | None) -> Exception:
        """The same for an unknown address and a wrong password."""
        return unauthorized("invalid credentials")

    def user(self, id: str) -> Document:
        """The user as of now, who has to be there and active."""
        text = self.store.get("users", id)
        user: Document = loads(text.encode()) if text else {"status": "disabled"}
        if user.get("status") in DISABLED:
            raise unauthorized("invalid credentials")
        return user

    def refresh_before_expiry(self, call: Call) -> Answer:
        """Refresh "in a GET request, with the access token as the Bearer token"."""
        principal = self.bearer_of_refresh(call)
        token = self.refresh_parameter(call)
        with self.patience.guess(f"refresh token of {principal.id}"):
            row = self.refresh.find(token)
            self.refresh.check_bearer(row, principal)
        user = self.user(row.user)
        self.refresh.consume(row)
        return self.tokens(user, token)

    def bearer_of_refresh(self, call: Call) -> Principal:
        """The bearer has to be good in itself: not missing, not expired."""
        return self.guard.authenticate(call)

    def refresh_parameter(self, call: Call) -> str:
        """The one refreshToken of the query."""
        values = [value for name, value in call.query if name == "refreshToken"]
        if len(values) != 1 or not values[0]:
            raise bad_request("refreshToken has to be given once")
        return values[0]

    def refresh_after_expiry(self, call: Call, body: Document) -> Answer:
        """Refresh by "POST to the endpoint without an Authorization header"; if sent, it is not
        looked at.
        """
        token = self.text(body, "refreshToken")
        client = self.text(body, "clientId")
        with self.patience.guess(f"refresh token of {client.lower()}"):
            row = self.refresh.find(token)
            self.refresh.check_client(row, self.account(client))
        user = self.user(row.user)
        self.refresh.consume(row)
        return self.tokens(user, token)

    def tokens(self, user: Document, old: str | None = None) -> Answer:
        """The answer of all three ways. `old` is the refresh token that was given for it."""
        claims = self.issuer.claims(user)
        document = {
            "tokenType": "Bearer",
            "token": self.issuer.write(claims),
            "refreshToken": self.next_refresh_token(user, old),
            "user": user["id"],
            "scope": claims["scope"],
            "organization": user.get("organization"),
            "expiresAt": self.expires_at(claims),
        }
        answer = Answer.of(201 if self.dialect == "sdk" else 200, document)
        answer.headers.update(self.cache_headers())
        return answer

    def expires_at(self, claims: Document) -> str:
        """When the token expires, for readers who do not look into it."""
        return iso(claims.get("exp", self.issuer.clock.now() + self.issuer.lifetime()))

    def next_refresh_token(self, user: Document, old: str | None) -> str:
        """Part of "the new access token and refresh token" that "should be used in future API
        calls".
        """
        return self.refresh.issue(user["id"])

    def cache_headers(self) -> dict[str, str]:
        """Answers with tokens must not be cached (RFC 6749, section 5.1)."""
        return {"Cache-Control": "no-store", "Pragma": "no-cache"}
