"""Variants of trouble: what networks and overloaded machines do, which decides no verdict."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from itertools import cycle

from starlette.types import Receive, Scope, Send

from rolecall.reference.app import Server
from rolecall.reference.call import Answer, Call
from rolecall.reference.errors import Refusal
from rolecall.reference.switches import instead_of
from rolecall.reference.tokens import Principal
from rolecall.reference.variants.network import every, hang_up, raw
from rolecall.reference.variants.registry import variant

_MOST_USERS = 25


@variant("every-15th-503", "trouble")
def every_15th_503(server: Server) -> None:
    """Every fifteenth request is answered 503, and not done."""
    every(server, 15, lambda call: server.refusal(Refusal(503, "Service unavailable")))


@variant("random-503", "trouble")
def random_503(server: Server) -> None:
    """One request in twenty, by chance, is answered 503, and not done."""
    before = server.wire.before
    dice = random.Random(1503)  # noqa: S311  # dice, not secrets

    @instead_of(server.wire.before)
    async def unlucky(call: Call) -> Answer | None:
        if not call.path.startswith("/__") and dice.random() < 0.05:
            return server.refusal(Refusal(503, "Service unavailable"))
        return await before(call)


@variant("every-15th-503-retry-after", "trouble")
def every_15th_503_retry_after(server: Server) -> None:
    """Every fifteenth request is answered 503 with Retry-After, and not done."""
    every(
        server,
        15,
        lambda call: server.refusal(Refusal(503, "Service unavailable", {"Retry-After": "1"})),
    )


@variant("every-15th-502", "trouble")
def every_15th_502(server: Server) -> None:
    """Every fifteenth request is answered 502 with a page of some proxy, and not done."""
    every(server, 15, lambda call: Answer(502, b"<h1>Bad gateway</h1>", media_type="text/html"))


@variant("every-40th-sent-back", "trouble")
def every_40th_sent_back(server: Server) -> None:
    """Every fortieth request is sent back by a proxy, and not done: by turns with 408, with 421 and
    with 425.
    """
    turns = cycle((408, 421, 425))
    every(server, 40, lambda call: Answer(next(turns), b"<h1>Again</h1>", media_type="text/html"))


def _in_maintenance(server: Server, answer: Callable[[], Answer]) -> None:
    """From the 600th request on everything is answered so, and not done, for two seconds."""
    before = server.wire.before
    seen = iter(range(1, 10**12))
    begun: list[float] = []

    @instead_of(server.wire.before)
    async def away(call: Call) -> Answer | None:
        if call.path.startswith("/__"):
            return await before(call)
        if next(seen) == 600:
            begun.append(time.monotonic())
        if begun and time.monotonic() < begun[0] + 2:
            return answer()
        return await before(call)


@variant("maintenance-page", "trouble")
def maintenance_page(server: Server) -> None:
    """For two seconds a gateway answers everything 200 with a page of its own, and does nothing."""
    page = b"<html><title>Back soon</title></html>"
    _in_maintenance(server, lambda: Answer(200, page, media_type="text/html"))


@variant("maintenance-redirect", "trouble")
def maintenance_redirect(server: Server) -> None:
    """For two seconds a gateway redirects everything to a page of its own, and does nothing."""
    _in_maintenance(server, lambda: Answer(302, b"", {"Location": "/maintenance"}))


def _broken(server: Server, nth: int, how: Callable[[Call, Answer], tuple[bytes, bool]]) -> None:
    """Do every nth request, and break the connection instead of answering it in full."""
    send_whole = server.wire.send
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.send)
    async def breaking(call: Call, answer: Answer, send: Send) -> None:
        if call.path.startswith("/__") or next(seen) % nth:
            await send_whole(call, answer, send)
        else:
            data, abort = how(call, answer)
            await hang_up(call, data, abort)


@variant("resets-now-and-then", "trouble")
def resets_now_and_then(server: Server) -> None:
    """Every fortieth request is done, and the connection reset instead of answered."""
    _broken(server, 40, lambda call, answer: (b"", True))


@variant("cut-off-now-and-then", "trouble")
def cut_off_now_and_then(server: Server) -> None:
    """Every fortieth answer ends in the middle of its body."""

    def half(call: Call, answer: Answer) -> tuple[bytes, bool]:
        whole = raw(call, answer, server.wire.headers(call, answer), "1.1")
        return whole[: len(whole) - max(1, len(answer.body) // 2)], False

    _broken(server, 40, half)


@variant("truncated-json-now-and-then", "trouble")
def truncated_json_now_and_then(server: Server) -> None:
    """Every fortieth answer holds half its JSON, and its length agrees."""
    after = server.wire.after
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.after)
    async def half(call: Call, answer: Answer) -> Answer:
        answer = await after(call, answer)
        if not call.path.startswith("/__") and next(seen) % 40 == 0:
            answer.body = answer.body[: len(answer.body) // 2]
        return answer


@variant("wrong-content-type", "trouble")
def wrong_content_type(server: Server) -> None:
    """Good JSON is said to be text/html."""
    after = server.wire.after

    @instead_of(server.wire.after)
    async def mislabelled(call: Call, answer: Answer) -> Answer:
        answer.media_type = "text/html; charset=utf-8"
        return await after(call, answer)


@variant("clock-ten-minutes-ahead", "trouble")
def clock_ten_minutes_ahead(server: Server) -> None:
    """The server's clock is ten minutes ahead."""
    server.clock.advance(600)


@variant("clock-ten-minutes-behind", "trouble")
def clock_ten_minutes_behind(server: Server) -> None:
    """The server's clock is ten minutes behind."""
    server.clock.advance(-600)


@variant("slow", "trouble")
def slow(server: Server) -> None:
    """Every fiftieth request takes two seconds."""
    before = server.wire.before
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.before)
    async def dragging(call: Call) -> Answer | None:
        if not call.path.startswith("/__") and next(seen) % 50 == 0:
            await asyncio.sleep(2)
        return await before(call)


@variant("hangs-now-and-then", "trouble")
def hangs_now_and_then(server: Server) -> None:
    """Every three-hundredth request is never answered."""
    before = server.wire.before
    seen = iter(range(1, 10**12))

    @instead_of(server.wire.before)
    async def hanging(call: Call) -> Answer | None:
        if not call.path.startswith("/__") and next(seen) % 300 == 0:
            while (await call.receive())["type"] != "http.disconnect":
                pass
        return await before(call)


@variant("random-prefix", "trouble")
def random_prefix(server: Server) -> None:
    """Everything is under a prefix of chance, which only the target file knows."""
    server.prefix = prefix = f"/{secrets.token_hex(4)}"
    app = server.app

    async def under_prefix(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        known = path.startswith(f"{prefix}/")
        inner = path.removeprefix(prefix) if known else "/"
        await app({**scope, "path": inner, "root_path": prefix}, receive, send)

    server.app = under_prefix


@variant("five-and-twenty-users", "trouble")
def five_and_twenty_users(server: Server) -> None:
    """A plan has 25 users at most; who makes another one is refused with 403, and told so."""
    create = server.resources.create

    @instead_of(server.resources.create)
    async def limited(call: Call, principal: Principal, resource: str) -> Answer:
        if resource == "users" and len(server.store.page("users", 100, 0)) >= _MOST_USERS:
            raise Refusal(403, "Your plan has 25 users")
        return await create(call, principal, resource)
