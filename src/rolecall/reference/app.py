"""Puts the server together from named parts, so that a switch can change one decision."""

from __future__ import annotations

import secrets
import sys
import traceback
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from rolecall.reference.apikeys import ApiKeys
from rolecall.reference.bearer import BearerReader
from rolecall.reference.call import Answer, Call, read_call
from rolecall.reference.clock import Clock, iso
from rolecall.reference.dispatch import Dispatcher, clock_request
from rolecall.reference.errors import (
    ErrorBodies,
    Refusal,
    bad_request,
    method_not_allowed,
    not_found,
)
from rolecall.reference.guard import Guard
from rolecall.reference.issue import TokenRoutes
from rolecall.reference.lockout import LockoutPolicy
from rolecall.reference.passwords import Passwords
from rolecall.reference.permissions import Permissions
from rolecall.reference.refresh import RefreshPolicy
from rolecall.reference.resources import Resources, new_id
from rolecall.reference.settings import ACCOUNTS, Settings
from rolecall.reference.store import Store, StoredAccount
from rolecall.reference.strict_json import dumps
from rolecall.reference.tokens import SigningKey, TokenIssuer, TokenVerifier
from rolecall.reference.wire import Wire

Action = Callable[[Call], Awaitable[Answer]]


class Credentials:
    """How to log an account in; the password is None if an earlier start made it."""

    def __init__(self, id: str, email: str, password: str | None) -> None:
        self.id = id
        self.email = email
        self.password = password


class Server:
    """The parts of a server. `app` is what uvicorn runs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = Clock()
        self.store = Store(settings.data)
        self.passwords = Passwords(settings.scrypt_n)
        self.signing_key = settings.signing_key or self._kept_key()
        key = SigningKey.shared(self.signing_key.encode())
        self.issuer = TokenIssuer(key, self.clock)
        self.verifier = TokenVerifier(key, self.clock, self.store, settings.dialect)
        self.permissions = Permissions()
        self.bearer = BearerReader()
        self.guard = Guard(self.bearer, self.verifier, self.permissions)
        self.refresh = RefreshPolicy(self.store, self.clock)
        self.patience = LockoutPolicy(self.clock)
        self.tokens = TokenRoutes(
            self.store,
            self.issuer,
            self.refresh,
            self.passwords,
            self.guard,
            self.patience,
            settings.dialect,
        )
        self.resources = Resources(self.store, self.clock, self.passwords, self.guard)
        self.api_keys = ApiKeys(self.store, self.clock, self.issuer)
        self.dispatcher = Dispatcher(self.guard, self.resources, self.api_keys)
        self.errors = ErrorBodies()
        self.wire = Wire(self.clock)
        self.prefix = ""  # what every path starts with
        self.forgeable = True  # whether the signing key is enough to sign tokens
        self.readings: dict[str, int | list[int]] = {}  # what the target file says under [dialect]
        if settings.dialect == "sdk":
            self.readings |= {"expired": [401], "issued": [201], "refreshed": [201]}
        self.accounts = self._make_accounts()
        self.app: ASGIApp = self._routes()

    def _kept_key(self) -> str:
        """A key of chance, the same again if the data is."""
        key = self.store.fact("signing key")
        if key is None:
            key = secrets.token_hex(32)
            self.store.set_fact("signing key", key)
        return key

    def _make_accounts(self) -> dict[str, Credentials]:
        """One user per role and a second guest, in one organization."""
        if self.store.fact("organization") is None:
            return self._first_accounts()
        found = {}
        for name in ACCOUNTS:
            id = self.store.fact(f"account {name}")
            account = self.store.account(id) if id else None
            if account is not None:
                password = self.settings.passwords.get(name)
                if password is not None:
                    self.store.set_password(account.id, self.passwords.hash(password))
                found[name] = Credentials(account.id, account.email, password)
        return found

    def _first_accounts(self) -> dict[str, Credentials]:
        now = self.clock.instant()
        dates = {"createdAt": now, "updatedAt": now}
        organization = new_id()
        document = {"id": organization, "name": "Example", "status": "active", "level": 1, **dates}
        self.store.add("organizations", organization, dumps(document))
        accounts = {}
        for name, role in ACCOUNTS.items():
            id = new_id()
            email = f"bot+{id}@example.org" if name == "bot" else f"{name}@example.org"
            password = self.settings.passwords.get(name) or secrets.token_urlsafe(12)
            self.store.add_account(StoredAccount(id, email, self.passwords.hash(password)))
            user = {
                "id": id,
                "email": email,
                "name": name.capitalize(),
                "role": role,
                "status": "active",
                "organization": organization,
                **dates,
            }
            self.store.add("users", id, dumps(user))
            self.store.set_fact(f"account {name}", id)
            accounts[name] = Credentials(id, email, password)
        self.store.set_fact("organization", organization)
        return accounts

    def _routes(self) -> Starlette:
        """Few routes, the busiest first: the resources are a table, not a route each.

        The actions are looked up at each call, so that a switch can replace them.
        """
        routes = [
            Route("/v2/auth/token", self._endpoint(self.tokens, "answer")),
            Route("/v2/apikeys", self._endpoint(self.dispatcher, "keys")),
            Route("/v2/apikeys/{id}", self._endpoint(self.dispatcher, "keys")),
            Route("/v2/{resource}/{id}", self._endpoint(self.dispatcher, "answer")),
            Route("/v2/{resource}", self._endpoint(self.dispatcher, "answer")),
            Route(
                "/v2/conversations/{id}/messages",
                self._endpoint(self.dispatcher, "conversation_messages"),
            ),
            Route("/__clock", Endpoint(self, self.move_clock)),
            Route("/{path:path}", self._endpoint(self.dispatcher, "unknown")),
        ]
        app = Starlette(routes=routes)
        app.router.redirect_slashes = False
        return app

    def _endpoint(self, part: object, method: str) -> Endpoint:
        """The way to an action of a part of this server."""

        async def action(call: Call) -> Answer:
            answer: Answer = await getattr(part, method)(call)
            return answer

        return Endpoint(self, action)

    async def move_clock(self, call: Call) -> Answer:
        """`/__clock`: read the clock, or move it; there only if asked for at the start."""
        if not self.settings.clock:
            raise not_found()
        if call.method == "POST":
            self.clock.advance(clock_request(call.json()))
        elif call.method != "GET":
            raise method_not_allowed("GET", "POST")
        return Answer.of(200, {"now": iso(self.clock.now()), "offset": self.clock.offset})

    async def handle(self, call: Call, action: Action) -> Answer:
        """One request, whatever happens."""
        try:
            early = await self.wire.before(call)
            if early is not None:
                return early
            if call.method == "OPTIONS":
                return Answer(204, headers={"Allow": "GET, HEAD, POST, PATCH, DELETE"})
            return await action(call)
        except Refusal as refusal:
            return self.refusal(refusal)
        except UnicodeEncodeError:  # half a surrogate pair where a text should be
            return self.refusal(bad_request("A text is not valid Unicode"))
        except Exception:  # noqa: BLE001  # whatever it is, the client gets an answer
            traceback.print_exc(file=sys.stderr)
            return self.refusal(Refusal(500, "Internal server error"))

    def refusal(self, refusal: Refusal) -> Answer:
        """A refusal as an answer."""
        return Answer.of(refusal.status, self.errors.document(refusal), **refusal.headers)


class Endpoint:
    """Between ASGI and an action."""

    def __init__(self, server: Server, action: Action) -> None:
        self.server = server
        self.action = action

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One exchange."""
        server = self.server
        try:
            call = await read_call(scope, receive)
        except Refusal as refusal:
            call = Call(scope, receive, b"")
            answer = server.refusal(refusal)
        else:
            answer = await server.handle(call, self.action)
        await server.wire.send(call, await server.wire.after(call, answer), send)
