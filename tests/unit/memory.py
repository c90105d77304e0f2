"""A target in memory, for tests of what decides: its things stand in dicts.

What it answers otherwise than the specification has it, a test says with `Server.instead`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import jwt

from rolecall.http._httpx import httpx
from rolecall.spec.loading import load_specification
from rolecall.target import Account

SPEC = load_specification()
TOKENS, KEYS = "/v2/auth/token", "/v2/apikeys"
LATENCY = 0.001  # seconds from a request to its answer
DAY = 24 * 60 * 60
#: Status, document (None for no body, bytes for any text), and header fields.
Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]


@dataclass(frozen=True)
class Asked:
    """A request as the server sees it. ``by`` is a role, ``key:`` and the scopes of an API key, or
    ``nobody``.

    ``operation`` is that of the table, or log-in, refresh, make-key, list-keys, or empty for any
    other; ``id`` is the one in the path.
    """

    operation: str
    id: str
    query: Mapping[str, str]
    body: Any
    by: str
    user: str
    scopes: tuple[str, ...]
    url: str
    attack: str


Reply = Answer | Callable[[Asked], Answer | None]


class Server:
    """A server of the specification, but for what a test lets it answer ``instead``; it has an
    account for each role, and those named.
    """

    def __init__(self, *more: str) -> None:
        self.things: dict[str, dict[str, dict[str, Any]]] = {
            name: {} for name in (*SPEC.resources, "api-key")
        }
        self.asked: list[Asked] = []
        self.accounts: dict[str, Account] = {}
        self._numbers = itertools.count(1)
        self._callers: dict[str, tuple[str, str, tuple[str, ...]]] = {}  # by token
        self._refresh_tokens: dict[str, str] = {}  # each of one use: the user it is of
        self._instead: list[tuple[str, str, Reply]] = []
        for name in (*SPEC.roles, *more):
            account = Account(
                name, name.rstrip("0123456789"), f"{name}@example.org", f"Sesame-of-{name}-1"
            )
            self.accounts[name] = account
            known = {
                "email": account.email,
                "password": account.password,
                "role": account.role,
                "organization": "org",
            }
            self.add("user", givenName=name.title(), **known)

    def add(self, resource: str, **members: Any) -> dict[str, Any]:
        """Keep a new thing; what is kept, which a test may change."""
        id = f"{next(self._numbers):024x}"
        kept = self.things[resource][id] = {"id": id, **members}
        return kept

    def instead(self, operation: str, reply: Reply, by: str = "") -> None:
        """Answer requests of an operation so, by this caller or by everyone; the newest counts, and
        None leaves it to the others.
        """
        self._instead.insert(0, (operation, by, reply))

    def count(self, operation: str, by: str = "") -> int:
        """How often something was asked."""
        return sum(asked.operation == operation and by in ("", asked.by) for asked in self.asked)

    def answer(self, method: str, url: str, token: str, body: Any, attack: str) -> Answer:
        """What a request is answered."""
        by, user, scopes = self._callers.get(token, ("nobody", "", ()))
        operation, id = _operation(method, urlsplit(url).path, user)
        if operation == "log-in" and isinstance(body, dict) and "refreshToken" in body:
            operation = "refresh"
        query = dict(parse_qsl(urlsplit(url).query))
        asked = Asked(operation, id, query, body, by, user, scopes, url, attack)
        self.asked.append(asked)
        for name, whose, reply in self._instead:
            if name == operation and whose in ("", by):
                said = reply(asked) if callable(reply) else reply
                if said is not None:
                    return said
        return self.usual(asked)

    def usual(self, asked: Asked) -> Answer:
        """What the specification has for a request."""
        if asked.operation in ("log-in", "refresh"):
            return self._grant(asked)
        if asked.operation in ("make-key", "list-keys"):
            return self._keys(asked) if "admin" in asked.scopes else (403, None)
        if not asked.scopes or asked.operation not in SPEC.operations:
            return (404, None) if asked.scopes else (401, None)
        may = any(SPEC.allows(asked.operation, scope) for scope in asked.scopes)
        return self.act(asked) if may else (403, {"message": "not for you"})

    def act(self, asked: Asked) -> Answer:
        """Do what is asked for, for any caller."""
        operation = SPEC.operations[asked.operation]
        kept = self.things[operation.resource.name]
        if operation.effect == "list":
            return 200, [
                _shown(thing) for thing in kept.values() if asked.query.items() <= thing.items()
            ]
        if operation.effect == "create":
            inside = {"conversation": asked.id} if asked.id else {}
            return 201, _shown(self.add(operation.resource.name, **asked.body, **inside))
        if asked.id not in kept:
            return 404, None
        if operation.effect == "delete":
            return 204, kept.pop(asked.id) and None
        kept[asked.id] |= asked.body or {}
        return 200, _shown(kept[asked.id])

    def _grant(self, asked: Asked) -> Answer:
        given = {**asked.query, **(asked.body if isinstance(asked.body, dict) else {})}
        if asked.operation == "refresh":
            user = self.things["user"].get(self._refresh_tokens.pop(given["refreshToken"], ""))
        else:
            who = (given.get("email"), given.get("password"))
            user = next(
                (
                    user
                    for user in self.things["user"].values()
                    if (user.get("email"), user.get("password")) == who
                ),
                None,
            )
        if user is None:
            return 401, {"message": "no"}
        role, number = user.get("role", "guest"), next(self._numbers)
        token = jwt.encode(
            {"_id": user["id"], "scope": role, "iat": 1, "exp": 1 + DAY, "jti": f"{number}"},
            "k" * 32,
        )
        refresh_token = f"{user['id']}.{number:040x}"
        self._callers[token] = (role, user["id"], (role,))
        self._refresh_tokens[refresh_token] = user["id"]
        granted = {"token": token, "refreshToken": refresh_token, "user": user["id"], "scope": role}
        return 200, {"tokenType": "Bearer", **granted}

    def _keys(self, asked: Asked) -> Answer:
        if asked.operation == "list-keys":
            return 200, [_shown(key) for key in self.things["api-key"].values()]
        scopes = tuple(asked.body["scopes"])
        key = self.add("api-key", name=asked.body["name"], user=asked.user, scopes=scopes)
        token = f"key-of-{key['id']}"
        self._callers[token] = (f"key:{'+'.join(scopes)}", asked.user, scopes)
        return 201, {**key, "token": token}


def _shown(thing: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in thing.items() if name != "password"}


_PATHS = [
    (entry, re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(entry.path.partition("?")[0]))))
    for entry in SPEC.operations.values()
]


def _operation(method: str, path: str, user: str) -> tuple[str, str]:
    """The operation that a request is, and the id in its path."""
    if path == TOKENS:
        return ("refresh" if method == "GET" else "log-in"), ""
    if path == KEYS:
        return ("make-key" if method == "POST" else "list-keys"), ""
    for entry, pattern in _PATHS:
        found = pattern.fullmatch(path)
        if found and entry.method == method:
            id = unquote(next(iter(found.groups()), ""))
            if not entry.is_self or id == user:
                return entry.name, id
    return "", ""


class Wire(httpx.AsyncBaseTransport):
    """In the place of the network."""

    def __init__(self, server: Server) -> None:
        self._server = server

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Hand a request to the server, and its answer back."""
        await asyncio.sleep(LATENCY)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        body = json.loads(request.content) if request.content else None
        attack = request.headers.get("x-rolecall-attack", "")
        status, document, *more = self._server.answer(
            request.method, str(request.url), token, body, attack
        )
        content = (
            document
            if isinstance(document, bytes)
            else b""
            if document is None
            else json.dumps(document).encode()
        )
        fields = {"content-type": "application/json", **(more[0] if more else {})}
        return httpx.Response(
            status, headers=fields, content=content, extensions={"http_version": b"HTTP/1.1"}
        )
