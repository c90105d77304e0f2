"""A small client for these tests: it knows a server from inside and asks it from outside."""

from __future__ import annotations

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx

from rolecall.reference.app import Server
from rolecall.reference.resources import RESOURCES, new_id
from rolecall.reference.server import build
from rolecall.reference.settings import Settings
from rolecall.reference.strict_json import dumps, loads
from rolecall.reference.tokens import SigningKey, compact

QUICK = 2
"""The cost of a password hash where it is not the point."""

BODIES: dict[str, dict[str, Any]] = {
    "organizations": {"name": "Branch"},
    "orggroups": {"name": "Dealers"},
    "users": {"email": "new@example.org", "name": "New"},
    "conversations": {"name": "Talk"},
    "messages": {"text": "Hello"},
    "contacts": {"profile": {"name": "Ada"}},
    "kbitems": {"title": "How", "content": "So"},
    "forms": {"name": "Survey", "fields": []},
    "services": {"name": "Hook", "type": "webhook"},
}


Result = TypeVar("Result")


class Api:
    """One server, and requests to it."""

    def __init__(self, server: Server, http: httpx.AsyncClient) -> None:
        self.server = server
        self.http = http

    # tokens

    def user(self, role: str) -> dict[str, Any]:
        """The user of an account."""
        return self.server.resources.stored("users", self.server.accounts[role].id)

    def claims(self, role: str, **other: Any) -> dict[str, Any]:
        """The claims of a role's token; None leaves one out."""
        claims = {**self.server.issuer.claims(self.user(role)), **other}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, role: str, **other: Any) -> str:
        """A token of a role's user, signed by the server."""
        return self.server.issuer.write(self.claims(role, **other))

    def forged(
        self,
        claims: dict[str, Any],
        header: dict[str, Any],
        key: SigningKey | None = None,
        signature: str = "",
    ) -> str:
        """A token of one's own making."""
        if key is not None:
            return compact(key, claims, header)
        parts = (
            urlsafe_b64encode(dumps(part).encode()).rstrip(b"=").decode()
            for part in (header, claims)
        )
        return ".".join([*parts, signature])

    async def key(self, scopes: Any, role: str = "admin", **members: Any) -> httpx.Response:
        """An API key made by the admin, for a role's user."""
        body = {"name": "key", "scopes": scopes, "user": self.server.accounts[role].id, **members}
        return await self.ask("POST", "/v2/apikeys", "admin", json=body)

    # requests

    async def ask(
        self, method: str, path: str, who: str | None = None, **options: Any
    ) -> httpx.Response:
        """A request on behalf of a role, or with the token given, or without a token."""
        headers = dict(options.pop("headers", {}))
        if who is not None:
            token = self.token(who) if who in self.server.accounts else who
            headers["Authorization"] = f"Bearer {token}"
        return await self.http.request(method, path, headers=headers, **options)

    async def login(self, account: str, **other: Any) -> httpx.Response:
        """A login of an account; members of the body can be others."""
        credentials = self.server.accounts[account]
        body = {"email": credentials.email, "password": credentials.password, **other}
        return await self.ask("POST", "/v2/auth/token", json=body)

    async def get_refresh(
        self, bearer: str | None, refresh_token: str, **more: str
    ) -> httpx.Response:
        """A refresh with the bearer in the header."""
        return await self.ask(
            "GET", "/v2/auth/token", bearer, params={"refreshToken": refresh_token, **more}
        )

    async def post_refresh(self, refresh_token: Any, client: Any, **more: Any) -> httpx.Response:
        """A refresh without a bearer."""
        body = {"refreshToken": refresh_token, "clientId": client, **more}
        return await self.ask("POST", "/v2/auth/token", json=body)

    async def accepted(self, token: str) -> bool:
        """Whether a token opens what only an admin may see."""
        return (await self.ask("GET", "/v2/services", token)).status_code == 200

    async def new_user(self, role: str = "guest", **members: Any) -> dict[str, Any]:
        """A user of one's own, who can log in."""
        body = {"email": f"{new_id()}@example.org", "password": "Sesame-1", "role": role, **members}
        document: dict[str, Any] = (await self.ask("POST", "/v2/users", "admin", json=body)).json()
        return document

    # operations

    def put(self, resource: str) -> str:
        """A document in the store, made past the wire; its id."""
        id = new_id()
        document = {
            "id": id,
            "organization": self.user("admin")["organization"],
            **BODIES[resource],
        }
        self.server.store.add(resource, id, dumps(document))
        return id

    async def attempt(self, operation: str, token: str) -> tuple[httpx.Response, bool]:
        """Ask for an operation; the answer, and whether it really happened."""
        action, _, noun = operation.partition("-")
        resource = next(
            resource
            for resource in RESOURCES.values()
            if noun.removesuffix("-self") in (resource.singular, resource.plural)
        ).path
        if action == "create":
            return await self._create(resource, token)
        id = self._own_id(token) if noun == "user-self" else self.put(resource)
        path = f"/v2/{resource}/{id}"
        if action == "list":
            organization = self.user("admin")["organization"]
            answer = await self.ask("GET", f"/v2/{resource}?organization={organization}", token)
            return answer, id in answer.text
        if action == "fetch":
            answer = await self.ask("GET", path, token)
            return answer, f'"id":"{id}"' in answer.text
        if action == "update":
            answer = await self.ask("PATCH", path, token, json={"meta": {"mark": "changed"}})
            return answer, "changed" in (self.server.store.get(resource, id) or "")
        answer = await self.ask("DELETE", path, token)
        return answer, self.server.store.get(resource, id) is None

    async def _create(self, resource: str, token: str) -> tuple[httpx.Response, bool]:
        path = f"/v2/{resource}"
        if resource == "messages":
            path = f"/v2/conversations/{self.put('conversations')}/messages"
        before = len(self.server.store.page(resource, 10**6, 0))
        answer = await self.ask("POST", path, token, json=BODIES[resource])
        return answer, len(self.server.store.page(resource, 10**6, 0)) > before

    def _own_id(self, token: str) -> str:
        claims = self.server.verifier.document(token.split(".")[1])
        return str(claims["_id"])


def with_api(settings: Settings, story: Callable[[Api], Awaitable[Result]]) -> Result:
    """Tell a story to a fresh server, without a socket between."""
    server = build(settings)
    # uvicorn answers a broken application with 500; here it would come up as an exception
    transport = httpx.ASGITransport(app=server.app, raise_app_exceptions=False)
    try:
        return tell(server, story, transport=transport, base_url="http://reference.test")
    finally:
        server.store.close()


def tell(server: Server, story: Callable[[Api], Awaitable[Result]], **client: Any) -> Result:
    """Tell a story to a server."""

    async def main() -> Result:
        # nothing here is encrypted; loading certificates would take longer than the story
        async with httpx.AsyncClient(verify=False, **client) as http:
            return await story(Api(server, http))

    return asyncio.run(main())


Probe = Callable[[Api], Awaitable[bool]]

PROBES: dict[str, Probe] = {}
"""For every fault a question that is answered with yes if the fault can be seen."""


def sees(*names: str) -> Callable[[Probe], Probe]:
    """The decorated probe sees these faults."""

    def enter(probe: Probe) -> Probe:
        for name in names:
            assert name not in PROBES, name
            PROBES[name] = probe
        return probe

    return enter


def read(answer: httpx.Response) -> Any:
    """The JSON of an answer."""
    return loads(answer.content)
