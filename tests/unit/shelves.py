"""A target in memory for the end of a run: things on shelves, which are listed, shown and deleted,
and answers that a test sets.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar
from unittest.mock import patch
from urllib.parse import unquote, urlsplit

import jwt

from rolecall.evidence import Evidence, Exchange
from rolecall.harness import cleanup
from rolecall.http._httpx import httpx
from rolecall.http.client import Client
from rolecall.http.gate import Gate
from rolecall.ledger import Ledger, LedgerEntry
from rolecall.outcomes import TransientFailure
from rolecall.redaction import Secrets
from rolecall.spec.loading import load_specification
from rolecall.target import Account, ApiKeyOptions, Target
from rolecall.toolkit.members import names_in
from rolecall.toolkit.world import World

SPEC = load_specification()
URL, KEYS, TOKENS = "http://target.example", "/v2/apikeys", "/v2/auth/token"
RUN = "20261125-000000-abcdef"
NAME = f"rolecall-{RUN}-"
#: The members in which things of each kind have their name.
NAMED: dict[str, Callable[[str], dict[str, Any]]] = {
    "contact": lambda name: {"profile": {"name": name}},
    "user": lambda name: {"givenName": name},
    "message": lambda name: {"text": name},
}
T = TypeVar("T")


class Shelves(Client):
    """Answers in place of the network: status and document, or the exception that a test has set
    ``instead`` for a method and path.
    """

    def __init__(self) -> None:
        accounts = {
            role: Account(role, role, f"{role}@example.org", f"Secret-of-{role}-1")
            for role in SPEC.roles
        }
        target = Target("shelves", URL, accounts, api_keys=ApiKeyOptions(KEYS), source="a test")
        gate = Gate(Ledger(Path(os.devnull)), URL, accounts.values())
        super().__init__(target, Evidence(), Secrets(), gate)
        self.world = World(target, SPEC, self, RUN, intrusive=False)
        self.world.patience.seconds = 0.0
        self.shelves: dict[str, dict[str, dict[str, Any]]] = {}  # by collection and id
        self.instead: dict[str, Any] = {}
        self.asked: list[str] = []
        self._late: set[tuple[str, str]] = set()  # collections and ids
        self._is_before = False

    # --- Things ---------------------------------------------------------------------------------

    def put(self, resource: str, id: str, name: str = "", **members: Any) -> dict[str, Any]:
        """A thing on its shelf, with this name where its kind has it."""
        named = _named(resource, name) if name else {}
        thing = self.shelves.setdefault(_collection(resource), {})[id] = {
            "id": id,
            **named,
            **members,
        }
        return thing

    def made(
        self, resource: str, id: str, name: str = f"{NAME}1-test", **members: Any
    ) -> LedgerEntry:
        """A thing that the run has made, and of which it knows the id."""
        self.later(resource, id, name, **members)
        entry = self._intend(resource, name)
        self.world.gate.own(entry, id)
        return entry

    def doubtful(self, resource: str, claimed: str = "") -> LedgerEntry:
        """Something that may have been made: no answer came, or one that called it by an id and
        showed no name.
        """
        entry = self._intend(resource, f"{NAME}2-test")
        entry.claimed = claimed
        return entry

    def _intend(self, resource: str, name: str) -> LedgerEntry:
        self.world.written |= {
            (resource, *place) for place in names_in(_named(resource, name), name)
        }
        return self.world.ledger.intend(resource, name)

    def later(self, resource: str, id: str, name: str = "", **members: Any) -> None:
        """A thing that is there only after the run's first look at things of its kind."""
        self.put(resource, id, name, **members)
        self._late.add((_collection(resource), id))

    def are_empty(self) -> bool:
        """Whether nothing is left."""
        return not any(self.shelves.values())

    # --- Answers --------------------------------------------------------------------------------

    async def _transmit(self, request: httpx.Request, exchange: Exchange) -> None:
        path = urlsplit(exchange.url).path
        asked = f"{exchange.method} {path}"
        self.asked.append(asked)
        said: Any = ... if self._is_before else self.instead.get(asked, ...)
        said = said.pop(0) if isinstance(said, list) and said else said
        said = said(exchange) if callable(said) else said
        if said is ... or said == []:
            said = self._usual(exchange, path)
        if said is None:
            exchange.error = "no answer"
            raise TransientFailure(f"an answer to {exchange}")
        status, document = said
        exchange.status, exchange.finished = status, exchange.started
        exchange.headers = [("content-type", "application/json")]
        exchange.body = b"" if document is None else json.dumps(document).encode()

    def _usual(self, exchange: Exchange, path: str) -> tuple[int, Any]:
        if path == TOKENS:
            return self.grant(json.loads(exchange.request_body))
        collection, _, id = path.rpartition("/")
        if exchange.method == "POST":
            return 201, self._create(path, json.loads(exchange.request_body))
        if path in self.shelves or collection == "/v2":
            hidden = {id for where, id in self._late if where == path and self._is_before}
            return 200, [
                thing for id, thing in self.shelves.get(path, {}).items() if id not in hidden
            ]
        things = self.shelves.get(collection, {})
        if unquote(id) not in things:
            return 404, None
        if exchange.method == "DELETE":
            return 204, things.pop(unquote(id)) and None
        if exchange.method == "PATCH":
            things[unquote(id)].update(json.loads(exchange.request_body))
        return 200, things[unquote(id)]

    def _create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """A new thing; the messages of a new conversation are things, too."""
        shelf = self.shelves.setdefault(path, {})
        thing = {"id": f"new-{len(self.asked)}"} | {
            name: value for name, value in body.items() if name != "messages"
        }
        shelf[thing["id"]] = thing
        for number, message in enumerate(body.get("messages", ())):
            self.put("message", f"in-{thing['id']}-{number}", **message)
        return thing

    def grant(self, body: dict[str, Any]) -> tuple[int, Any]:
        """The usual answer to a log-in: a token that is another each time."""
        role = body["email"].partition("@")[0]
        token = jwt.encode(
            {"_id": f"user-of-{role}", "scope": role, "iat": 1, "exp": 2**40, "n": len(self.asked)},
            "k" * 32,
        )
        return 200, {
            "tokenType": "Bearer",
            "token": token,
            "refreshToken": "r.s",
            "user": f"user-of-{role}",
            "scope": role,
        }

    # --- The end of the run ---------------------------------------------------------------------

    def after(self, story: Callable[[World], Awaitable[T]]) -> T:
        """What a story of this world comes to; nothing in it waits for real."""

        async def told() -> T:
            try:
                return await story(self.world)
            finally:
                await self.world.close()

        with patch.object(cleanup, "_PAUSE", 0.0):
            return asyncio.run(told())

    def left(self) -> list[str]:
        """What the end of the run reports as left; ``asked`` then has its requests alone."""

        async def end(world: World) -> list[str]:
            self._is_before = True  # the first look, at what was there before the run
            for resource in list(world.ledger.resources):
                await world.was_there_before(resource, "nothing")
            self._is_before = False
            self.asked.clear()
            return await cleanup.tidy(world)

        return self.after(end)


def _collection(resource: str) -> str:
    return KEYS if resource == "api-key" else SPEC.resources[resource].collection


def _named(resource: str, name: str) -> dict[str, Any]:
    members = NAMED.get(resource)
    return members(name) if members else {"name": name}
