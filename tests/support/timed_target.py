"""A target in memory whose clock is in a test's hands, as the ways to an expired token see it: no
sockets, and no time passes.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import AsyncMock

import jwt
import pytest

from rolecall.evidence import Exchange
from rolecall.ledger import Ledger
from rolecall.outcomes import NotTested, TransientFailure
from rolecall.redaction import Secrets
from rolecall.target import Account
from rolecall.target import ExpiryOptions as Options
from rolecall.tokens import Caller, Grant, claims_of
from rolecall.toolkit.expiry import Expiry

ROLES = ("guest", "admin")
KEY = "the key of the target, which is long enough"
BEGIN = 1_700_000_000.0
DAY = 86400
_LATENCY = 0.05  # seconds

#: Decides over one request: an answer, an exception, or None for what is usual.
Decide = Callable[[Exchange], object]


class TimedTarget:
    """Logs people in, lets them in until their tokens end, and moves its clock when it is asked to.

    ``elapsed`` is our monotonic time, ``offset`` what its clock is ahead of ours. A test replaces
    what it wants to be different.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path, **options: Any) -> None:
        self.elapsed, self.offset = 1000.0, 0.0
        self.lifetime, self.leeway, self.dates, self.issues = DAY, 0.0, True, True
        self.numbers, self.log_ins_left = itertools.count(1), 15
        self.hook: Decide = lambda exchange: None
        self.login: Decide = lambda exchange: None
        self.read: Decide = lambda exchange: None
        self.moved: list[float] = []
        self.sent: list[Exchange] = []
        self.ledger = Ledger(folder / "ledger.jsonl")
        self.world: Any = self._world(options)
        clock = SimpleNamespace(monotonic=lambda: self.elapsed, time=lambda: BEGIN + self.elapsed)
        for module in ("pausing", "toolkit.clock"):
            monkeypatch.setattr(f"rolecall.{module}.time", clock)
        monkeypatch.setattr(asyncio, "sleep", self._sleep)
        for module in ("clock", "last_minute", "target_time"):
            monkeypatch.setattr(f"rolecall.toolkit.{module}.throwaway_user", nobody_can_be_made)
        self.expiry = Expiry(self.world)

    def _world(self, options: dict[str, Any]) -> Any:
        given = {"clock_url": "http://target.example/__clock", **options}
        return SimpleNamespace(
            roles=ROLES,
            highest=ROLES[-1],
            read_only=False,
            ledger=self.ledger,
            dialect=SimpleNamespace(lifetime=DAY),
            target=SimpleNamespace(
                base_url="http://target.example",
                expiry=Options(**given),
                accounts=dict.fromkeys(ROLES),
            ),
            gate=SimpleNamespace(log_ins=SimpleNamespace(left=lambda email: self.log_ins_left)),
            new_users=SimpleNamespace(could=lambda role: True),
            client=SimpleNamespace(send=self.send, dead=None, secrets=Secrets()),
            tokens=SimpleNamespace(issue=self.issue),
            account=lambda name: Account(name, name, f"{name}@example.org", "Sesame"),
            user=self.fresh_caller,
            fresh_caller=self.fresh_caller,
            renewed=self.fresh_caller,
            fetch_self=AsyncMock(),  # the session that the run shares lives on
            lone=set(),
            forget_logins=lambda: None,
            signs_of_life=lambda role: ["fetch-user-self", "list-contacts"],
            request=self.request,
            perform=self.perform,
        )

    @property
    def now(self) -> float:
        """The target's time."""
        return BEGIN + self.elapsed + self.offset

    async def _sleep(self, seconds: float, result: object = None) -> None:
        self.elapsed += seconds

    # --- What the world does --------------------------------------------------------------------

    def answered(
        self, method: str, path: str, status: int, body: bytes = b"", caller: str = "", **facts: Any
    ) -> Exchange:
        """An exchange that began just now, answered with the target's Date."""
        headers = [("date", formatdate(int(self.now), usegmt=True))] if self.dates else []
        exchange = Exchange(
            next(self.numbers), method, f"http://target.example{path}", {}, b"", caller, **facts
        )
        exchange.started, exchange.at, exchange.status = self.elapsed, BEGIN + self.elapsed, status
        self.elapsed += _LATENCY
        exchange.finished, exchange.headers, exchange.body = self.elapsed, headers, body
        self.sent.append(exchange)
        return exchange

    async def issue(self, account: Account) -> Exchange:
        """A log-in."""
        exchange = self.answered("POST", "/v2/auth/token", 200, caller=account.name)
        decided(self.login(exchange))
        if exchange.ok and not exchange.body:
            exchange.body = self.token_answer(account.name)
        return exchange

    def token_answer(self, role: str, **claims: Any) -> bytes:
        """A new token for a role."""
        times = {"iat": int(self.now), "exp": int(self.now) + self.lifetime} if self.issues else {}
        token = jwt.encode({"_id": role, "jti": next(self.numbers), **times, **claims}, KEY)
        refresh = f"{role}.{next(self.numbers)}"
        return json.dumps({"token": token, "refreshToken": refresh, "user": role}).encode()

    async def fresh_caller(self, name: str) -> Caller:
        """A user who has just logged in."""
        grant = Grant.of(await self.issue(self.world.account(name)))
        return Caller(name, "token", grant.token, name, f"{name}@example.org", grant)

    async def send(self, method: str, url: str, *, json: Any, **options: Any) -> Exchange:
        """A move of the clock; what the hook decides comes after it has moved, unless it moves it
        itself.
        """
        exchange = self.answered(method, "/__clock", 200, attack="clock")
        before = self.offset
        self.offset += json["advance"]
        self.moved.append(json["advance"])
        result = self.hook(exchange)
        if result is STAYS:
            self.offset = before
        else:
            decided(result)
        return exchange

    async def request(self, operation: str, caller: Caller) -> tuple[str, Caller]:
        """A request, ready to be sent."""
        return operation, caller

    async def perform(
        self, request: tuple[str, Caller], caller: Caller, **options: Any
    ) -> Exchange:
        """A read with a token: 200 until it ends, then 403."""
        assert request[1] is caller
        exp = claims_of(caller.token).get("exp", float("inf"))
        status = 200 if self.now < exp + self.leeway else 403
        exchange = self.answered(
            "GET", f"/{request[0]}", status, caller=str(caller), attack=options.get("attack", "")
        )
        decided(self.read(exchange))
        return exchange


#: What a hook decides that leaves the clock as it is.
STAYS = object()
LOST = TransientFailure(
    "an answer to POST /__clock: the connection broke", "the connection to the target"
)


async def nobody_can_be_made(world: object, role: str) -> NoReturn:
    """The target makes no users, so an account of its file sees the time."""
    raise NotTested(f"a user with the role {role}")


def decided(result: object) -> None:
    """Raise what a test decided to be raised."""
    if isinstance(result, Exception):
        raise result


def in_turn(*decisions: object) -> Decide:
    """One decision after the other, and then what is usual; a function is asked."""
    left = list(decisions)

    def decide(exchange: Exchange) -> object:
        decision = left.pop(0) if left else None
        return decision(exchange) if callable(decision) else decision

    return decide


def refusing(status: int, **headers: str) -> Decide:
    """An answer with another status; the clock stays as it is."""

    def decide(exchange: Exchange) -> object:
        exchange.status, exchange.body = status, b""
        exchange.headers += [(name.replace("_", "-"), value) for name, value in headers.items()]
        return STAYS

    return decide
