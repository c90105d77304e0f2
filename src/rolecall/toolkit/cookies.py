"""Cookies that a target sets: the client keeps none, tests send them on purpose."""

from __future__ import annotations

from collections.abc import Iterable

from rolecall.evidence import cite
from rolecall.tokens import Caller
from rolecall.toolkit.world import World


async def cookies_given_to(caller: Caller, world: World, operations: Iterable[str]) -> list[str]:
    """The cookies that came with a caller's token, and with the answers to reads with it."""
    answers = [await world.reads(caller, operation) for operation in operations]
    if caller.grant.exchange:
        answers = [caller.grant.exchange, *answers]
    lines = [line for answer in answers for line in cite(answer).header_lines("set-cookie")]
    cookies: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(";")[0].strip().partition("=")
        cookies[name] = value
    return [f"{name}={value}" for name, value in cookies.items()]
