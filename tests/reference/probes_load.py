"""Probes for faults that only show when requests meet."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from rolecall.reference.faults.load import BUSY, NTH, POOL
from tests.reference.asking import Api, read, sees


async def denied_at_once(api: Api, count: int) -> int:
    """How many of so many requests at once are denied: lists of services for guests."""
    token = api.token("guest")
    answers = await asyncio.gather(*(api.ask("GET", "/v2/services", token) for _ in range(count)))
    return sum(answer.status_code == 403 for answer in answers)


@sees("permissions-open-when-busy")
async def open_when_busy(api: Api) -> bool:
    assert await denied_at_once(api, BUSY) == BUSY
    return await denied_at_once(api, 2 * BUSY) < 2 * BUSY


@sees("one-token-in-300-of-another-user")
async def of_another_user(api: Api) -> bool:
    strangers = 0
    for number in range(2 * NTH):
        user = api.user(("guest", "agent")[number % 2])
        strangers += read_token(api, user) != user["id"]
    return strangers == 2


def read_token(api: Api, user: dict[str, Any]) -> str:
    """The user of a token that is made for a user, without the hash of a password."""
    return str(api.server.verifier.document(str(loaded(api, user)["token"]).split(".")[1])["_id"])


def loaded(api: Api, user: dict[str, Any]) -> dict[str, Any]:
    """A token answer for a user."""
    document: dict[str, Any] = read(httpx.Response(200, content=api.server.tokens.tokens(user).body))
    return document


@sees("refresh-tokens-run-out")
async def run_out(api: Api) -> bool:
    user = api.user("guest")
    given = [loaded(api, user)["refreshToken"] for _ in range(3 * POOL)]
    return len(set(given)) < len(given)


async def race(api: Api, name: str, others: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two refreshes with one token of one user, and two of another's, all at once: what each was given."""
    tokens = {account: read(await api.login(account))["refreshToken"] for account in (name, others)}
    both = (name, name, others, others)
    answers = await asyncio.gather(*(api.post_refresh(tokens[one], api.server.accounts[one].email) for one in both))
    given = [read(answer) if answer.is_success else {} for answer in answers]
    return given[:2], given[2:]


@sees("race-kills-both-winners")
async def kills_both(api: Api) -> bool:
    alone = read(await api.post_refresh(read(await api.login("guest"))["refreshToken"], api.server.accounts["guest"].email))
    assert (await api.ask("GET", f"/v2/users/{alone['user']}", alone["token"])).is_success
    winners, _ = await race(api, "bot", "agent")
    if not all(winners):
        return False
    looks = [await api.ask("GET", f"/v2/users/{one['user']}", one["token"]) for one in winners]
    looks += [await api.post_refresh(one["refreshToken"], api.server.accounts["bot"].email) for one in winners]
    return not any(look.is_success for look in looks)


@sees("race-gives-another-users-token")
async def gives_anothers(api: Api) -> bool:
    users = {one.get("user") for one in (await race(api, "bot", "agent"))[0]}
    return api.user("agent")["id"] in users
