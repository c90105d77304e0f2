"""Variants to measure, whose capacity or stall is known, and lawful ones that differ when busy."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from itertools import count

from starlette.types import Send

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.strict_json import Document, loads
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.traffic import Traffic
from rolecall.reference.variants.caches import WORKERS
from rolecall.reference.variants.registry import variant

LEARNT = 0.8
"""Seconds after which every worker knows a token that one of them has given."""

_TURN = 150  # tokens after which another machine gives them

STALL_AFTER, STALL = 5.0, 1.0
"""Seconds from the first request to the stall, and of the stall."""


def _one_at_a_time(server: Server, seconds: float) -> None:
    """Let every request wait for its turn. Turns follow each other on the clock, so that a late
    timer costs no capacity.
    """
    before = server.wire.before
    free = 0.0

    @instead_of(server.wire.before)
    async def queued(call: Call) -> Answer | None:
        nonlocal free
        if not call.path.startswith("/__"):
            now = asyncio.get_running_loop().time()
            free = max(now, free) + seconds
            await asyncio.sleep(free - now)
        return await before(call)


def _queue(milliseconds: int) -> Callable[[Server], None]:
    def apply(server: Server) -> None:
        _one_at_a_time(server, milliseconds / 1000)

    apply.__doc__ = (
        f"Requests are served one at a time, each in {milliseconds} ms: "
        f"{1000 // milliseconds} a second."
    )
    return apply


for _milliseconds in (4, 10, 20):
    variant(f"one-at-a-time-{_milliseconds}ms", "load")(_queue(_milliseconds))


@variant("stalls-once", "load")
def stalls_once(server: Server) -> None:
    """Five seconds after the first request no answer leaves for one second, once."""
    send_at_once = server.wire.send
    started: float | None = None

    @instead_of(server.wire.send)
    async def held(call: Call, answer: Answer, send: Send) -> None:
        nonlocal started
        now = asyncio.get_running_loop().time()
        started = now if started is None else started
        if STALL_AFTER <= now - started < STALL_AFTER + STALL:
            await asyncio.sleep(started + STALL_AFTER + STALL - now)
        await send_at_once(call, answer, send)


@variant("sheds-load", "under-load")
def sheds_load(server: Server) -> None:
    """With more than 20 requests in flight a request is sent away, by turns with 503 and with 429,
    before the token is looked at.
    """
    traffic, before, turns = Traffic(server), server.wire.before, count()

    @instead_of(server.wire.before)
    async def sent_away(call: Call) -> Answer | None:
        if traffic.is_heavy and not call.path.startswith("/__"):
            return Answer.of(
                (503, 429)[next(turns) % 2], {"message": "Busy"}, **{"Retry-After": "0"}
            )
        return await before(call)


@variant("firewalled-when-busy", "under-load")
def firewalled_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a firewall before the server turns one in three away, by
    turns with a web page of status 403 and with a redirect to a waiting room.
    """
    traffic, before, turns = Traffic(server), server.wire.before, count()

    @instead_of(server.wire.before)
    async def turned_away(call: Call) -> Answer | None:
        if not traffic.is_heavy or call.path.startswith("/__") or (turn := next(turns)) % 3:
            return await before(call)
        if turn % 2:
            return Answer(302, b"", {"Location": "https://waiting.example.org/"})
        return Answer(403, b"<h1>Request blocked</h1>", media_type="text/html")


@variant("keeps-answers-by-token", "under-load")
def keeps_answers_by_token(server: Server) -> None:
    """With more than 20 requests in flight a GET is answered as the same one with the same token
    was, if that is less than a second ago and good yet.
    """
    traffic, answer = Traffic(server), server.dispatcher.answer
    kept: dict[tuple[str, str, bytes], tuple[float, Answer]] = {}

    @instead_of(server.dispatcher.answer)
    async def from_the_cache(call: Call) -> Answer:
        if call.method != "GET":
            return await answer(call)
        token = server.bearer.token(call)
        key, now = (token, call.path, call.scope["query_string"]), server.clock.now()
        at, before = kept.get(key, (0.0, None))
        if before is not None and traffic.is_heavy and now - at < 1:
            server.verifier.principal(token)
            return before
        given = await answer(call)
        kept[key] = now, given
        return given


@variant("shows-less-when-busy", "under-load")
def shows_less_when_busy(server: Server) -> None:
    """With more than 20 requests in flight a fetch shows no more than the thing's id, and a list no
    more than one thing.
    """
    traffic, perform = Traffic(server), server.dispatcher.perform

    @instead_of(server.dispatcher.perform)
    async def less(call: Call, principal: Principal, operation: str) -> Answer:
        answer = await perform(call, principal, operation)
        action = operation.partition("-")[0]
        if answer.status != 200 or action not in ("fetch", "list") or not traffic.is_heavy:
            return answer
        shown = loads(answer.body)
        return Answer.of(200, {"id": shown["id"]} if action == "fetch" else shown[:1])


@variant("clocks-differ-by-a-minute", "under-load")
def clocks_differ_by_a_minute(server: Server) -> None:
    """Of two machines that take turns one has a clock that is a minute ahead."""
    claims, turns = server.issuer.claims, count()

    @instead_of(server.issuer.claims)
    def ahead(user: Document) -> Document:
        said, late = claims(user), next(turns) // _TURN % 2 * 60
        return said | {"iat": said["iat"] + late, "exp": said["exp"] + late}


@variant("workers-learn-of-tokens", "under-load")
def workers_learn_of_tokens(server: Server) -> None:
    """Every answer ends its connection, and each new one leads to one of four workers by chance;
    an access token is known at once to the worker that gave it, and to the others 0.8 s later.
    """
    answer, authenticate, after = server.tokens.answer, server.guard.authenticate, server.wire.after
    dice = random.Random()  # noqa: S311  # dice, not secrets
    given: dict[str, tuple[int, float]] = {}
    workers: dict[object, int] = {}

    def worker(call: Call) -> int:
        client = call.scope["client"]
        return workers.setdefault(client and tuple(client), dice.randrange(WORKERS))

    @instead_of(server.tokens.answer)
    async def noted(call: Call) -> Answer:
        tokens = await answer(call)
        if 200 <= tokens.status < 300:
            given[loads(tokens.body)["token"]] = worker(call), time.monotonic()
        return tokens

    @instead_of(server.guard.authenticate)
    def known(call: Call) -> Principal:
        number, at = given.get(server.bearer.token(call), (0, 0.0))
        if number != worker(call) and time.monotonic() - at < LEARNT:
            raise server.verifier.invalid()
        return authenticate(call)

    @instead_of(server.wire.after)
    async def ended(call: Call, answer: Answer) -> Answer:
        answer = await after(call, answer)
        workers.pop(tuple(call.scope["client"]), None)
        answer.headers["Connection"] = "close"
        return answer
