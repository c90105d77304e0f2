"""Probes for faults that only show when requests meet."""

# ruff: noqa: D103  # the fault that a probe sees says what the probe asks

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import httpx

from rolecall.reference.faults.load import NTH, POOL, TURN, TWO_HOURS
from rolecall.reference.traffic import BUSY
from tests.reference.asking import Api, read, sees


async def at_once(
    api: Api, count: int, path: str, token: str, method: str = "GET", **options: Any
) -> Counter[int]:
    """The statuses with which so many requests at once are answered."""
    answers = await asyncio.gather(*(api.ask(method, path, token, **options) for _ in range(count)))
    return Counter(answer.status_code for answer in answers)


async def opens(
    api: Api, path: str, token: str, method: str = "GET", refused: int = 403, **options: Any
) -> bool:
    """Whether what is refused to few at once is not to many."""
    assert await at_once(api, BUSY, path, token, method, **options) == {refused: BUSY}
    return bool((await at_once(api, 2 * BUSY, path, token, method, **options))[200])


@sees("permissions-open-when-busy")
async def open_when_busy(api: Api) -> bool:
    return await opens(api, "/v2/services", api.token("guest"))


def expired(api: Api, role: str, **other: Any) -> str:
    """A token of a role's that has expired."""
    now = int(api.server.clock.now())
    return api.token(role, iat=now - 90_000, exp=now - 3_600, **other)


@sees("expired-let-in-when-busy")
async def expired_when_busy(api: Api) -> bool:
    return await opens(api, "/v2/services", expired(api, "admin"))


@sees("expired-unknown-when-busy")
async def unknown_when_busy(api: Api) -> bool:
    few, many = [
        await at_once(api, count, "/v2/services", expired(api, "admin"))
        for count in (BUSY, 2 * BUSY)
    ]
    return few == {403: BUSY} and bool(many[401])


@sees("things-mixed-up-when-busy")
async def mixed_up_when_busy(api: Api) -> bool:
    paths = [f"/v2/{kind}/{api.put(kind)}" for kind in ("contacts", "kbitems")]

    async def right(count: int) -> bool:
        answers = await asyncio.gather(
            *(api.ask("GET", paths[number % 2], "admin") for number in range(count))
        )
        return all(read(answer)["id"] in paths[number % 2] for number, answer in enumerate(answers))

    assert await right(BUSY)
    return not await right(2 * BUSY)


@sees("lists-empty-when-busy")
async def empty_when_busy(api: Api) -> bool:
    api.put("contacts")

    async def full(count: int) -> bool:
        answers = await asyncio.gather(
            *(api.ask("GET", "/v2/contacts", "admin") for _ in range(count))
        )
        return all(map(read, answers))

    assert await full(BUSY)
    return not await full(2 * BUSY)


@sees("lists-mixed-up-when-busy")
async def lists_mixed_up(api: Api) -> bool:
    ids = {kind: api.put(kind) for kind in ("contacts", "kbitems")}

    async def right(count: int) -> bool:
        kinds = ["contacts", "kbitems"] * (count // 2)
        answers = await asyncio.gather(*(api.ask("GET", f"/v2/{kind}", "admin") for kind in kinds))
        return all(
            any(thing["id"] == ids[kind] for thing in read(answer))
            for kind, answer in zip(kinds, answers, strict=True)
        )

    assert await right(BUSY)
    return not await right(2 * BUSY)


@sees("denied-updates-done-when-busy")
async def updates_done(api: Api) -> bool:
    path = f"/v2/contacts/{api.put('contacts')}"

    async def is_done(count: int) -> bool:
        name = f"changed by {count}"
        said = await at_once(api, count, path, api.token("guest"), "PATCH", json={"name": name})
        assert said == {403: count}
        return bool(read(await api.ask("GET", path, "admin")).get("name") == name)

    assert not await is_done(BUSY)
    return await is_done(2 * BUSY)


@sees("any-password-when-busy")
async def any_password(api: Api) -> bool:
    wrong = {"email": api.user("guest")["email"], "password": "rolecall-is-not-this"}
    return await opens(api, "/v2/auth/token", "", "POST", refused=401, json=wrong)


@sees("passwords-remembered-when-busy")
async def remembered(api: Api) -> bool:
    wrong = {"email": api.user("guest")["email"], "password": "rolecall-is-not-this"}
    assert not await opens(api, "/v2/auth/token", "", "POST", refused=401, json=wrong)
    assert (await api.login("guest")).is_success
    return await opens(api, "/v2/auth/token", "", "POST", refused=401, json=wrong)


@sees("verified-tokens-kept-when-busy")
async def verified_before(api: Api) -> bool:
    assert await api.accepted(api.token("admin", jti="kept"))
    assert not await opens(api, "/v2/services", expired(api, "admin"))
    return await opens(api, "/v2/services", expired(api, "admin", jti="kept"))


@sees("answers-kept-by-user-when-busy")
async def answered_before(api: Api) -> bool:
    assert await api.accepted(api.token("admin"))
    assert not await opens(api, "/v2/services", expired(api, "agent"))
    assert await api.accepted(api.token("admin"))
    return await opens(api, "/v2/services", expired(api, "admin"))


@sees("answers-kept-by-path-when-busy")
async def kept_for_anybody(api: Api) -> bool:
    admins = asyncio.gather(*(api.ask("GET", "/v2/services", "admin") for _ in range(BUSY)))
    guests = await at_once(api, 2 * BUSY, "/v2/services", api.token("guest"))
    await admins
    return bool(guests[200])


@sees("head-open-when-busy")
async def head_when_busy(api: Api) -> bool:
    assert not await opens(api, "/v2/services", api.token("guest"))
    return await opens(api, "/v2/services", api.token("guest"), "HEAD")


@sees("spelled-paths-open-when-busy")
async def spelled_when_busy(api: Api) -> bool:
    assert not await opens(api, "/v2/services", api.token("guest"))
    return all(
        [
            await opens(api, path, api.token("guest"), refused=404)
            for path in ("/v2/services/", "/v2//services", "/V2/SERVICES")
        ]
    )


@sees("short-lists-open-when-busy")
async def short_when_busy(api: Api) -> bool:
    assert not await opens(api, "/v2/services?limit=2", api.token("guest"))
    return await opens(api, "/v2/services?limit=1", api.token("guest"))


@sees("overriding-methods-open-when-busy")
async def overriding_when_busy(api: Api) -> bool:
    assert not await opens(api, "/v2/services", api.token("guest"))
    return await opens(
        api, "/v2/services", api.token("guest"), headers={"X-HTTP-Method-Override": "OPTIONS"}
    )


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
    document: dict[str, Any] = read(
        httpx.Response(200, content=api.server.tokens.tokens(user).body)
    )
    return document


@sees("clocks-differ")
async def several_clocks(api: Api) -> bool:
    tokens = [str(loaded(api, api.user("guest"))["token"]) for _ in range(TURN + 1)]
    issued = [api.server.verifier.document(token.split(".")[1])["iat"] for token in tokens]
    return bool(max(issued) - min(issued) > TWO_HOURS - 60)


@sees("refresh-tokens-run-out")
async def run_out(api: Api) -> bool:
    user = api.user("guest")
    given = [loaded(api, user)["refreshToken"] for _ in range(3 * POOL)]
    return len(set(given)) < len(given)


async def race(
    api: Api, name: str, others: str
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Two refreshes with one token of one user, and two of another's, all at once: what each was
    given.
    """
    tokens = {account: read(await api.login(account))["refreshToken"] for account in (name, others)}
    both = (name, name, others, others)
    answers = await asyncio.gather(
        *(api.post_refresh(tokens[role], api.server.accounts[role].email) for role in both)
    )
    given = [read(answer) if answer.is_success else {} for answer in answers]
    return given[:2], given[2:]


@sees("race-kills-both-winners")
async def kills_both(api: Api) -> bool:
    alone = read(
        await api.post_refresh(
            read(await api.login("guest"))["refreshToken"], api.server.accounts["guest"].email
        )
    )
    assert (await api.ask("GET", f"/v2/users/{alone['user']}", alone["token"])).is_success
    winners, _ = await race(api, "bot", "agent")
    if not all(winners):
        return False
    looks = [
        await api.ask("GET", f"/v2/users/{winner['user']}", winner["token"]) for winner in winners
    ]
    looks += [
        await api.post_refresh(winner["refreshToken"], api.server.accounts["bot"].email)
        for winner in winners
    ]
    return not any(look.is_success for look in looks)


@sees("race-gives-another-users-token")
async def gives_anothers(api: Api) -> bool:
    users = {answer.get("user") for answer in (await race(api, "bot", "agent"))[0]}
    return api.user("agent")["id"] in users
