"""Headers beside the token: neither a second token nor another header opens more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive
from rolecall.spec.model import Operation
from rolecall.tokens import TOKEN_PATH as TOKENS
from rolecall.tokens import Caller, Grant
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.things import Request, shows_id
from rolecall.toolkit.throwaway_users import any_session
from rolecall.toolkit.world import World

# --- Two tokens ---------------------------------------------------------------------------------

#: Both of two tokens in one request; "{low}" is the lowest role's, "{high}" the highest role's.
BOTH: dict[str, list[tuple[str, str]]] = {
    "lowest-first": [("Authorization", "Bearer {low}"), ("authorization", "Bearer {high}")],
    "highest-first": [("Authorization", "Bearer {high}"), ("authorization", "Bearer {low}")],
    "joined": [("authorization", "Bearer {low}, Bearer {high}")],
}

#: What a server answers that takes neither of two tokens.
_REFUSES_TOKENS = (400, 401, 403)


async def barred(world: World, attacker: Attacker) -> list[Operation]:
    """Lists and fetches that the highest role was seen to be allowed, and the lowest denied."""
    spec, lowest, highest = (
        world.spec,
        await world.user(world.roles[0]),
        await world.user(world.highest),
    )
    others = [
        next(
            op
            for op in spec.operations.values()
            if op.effect == effect and len(spec.allowed_roles(op.name)) == 2
        )
        for effect in ("list", "fetch")
    ]
    found = []
    for operation in (*attacker.reserved, *others):
        high, low = (
            await world.reads(highest, operation.name),
            await world.reads(lowest, operation.name),
        )
        if world.dialect.allows(operation, high) and world.dialect.denies(operation, low):
            cite(high, "control")
            cite(low, "denied")
            found.append(operation)
    if not found:
        raise Inconclusive(
            "a read that the highest role may and the lowest may not", "the permission table"
        )
    return found


async def with_both(
    order: str, request: Request, world: World, attack: str, low: Caller | None = None
) -> Exchange:
    """The answer to a request that carries two tokens: the highest role's, and the lowest role's,
    or another of such a user.
    """
    lowest = low or await world.user(world.roles[0])
    tokens = {"low": lowest.token, "high": (await world.user(world.highest)).token}
    fields = [(name, value.format(**tokens).encode()) for name, value in BOTH[order]]
    method, about = request.operation.method, request.thing
    return cite(
        await world.client.send_raw(
            method, request.path, fields, caller="two tokens", attack=attack, about=about
        ),
        "answer",
    )


async def closed_to_the_lowest(world: World, attacker: Attacker) -> list[Request]:
    """Requests that the highest role may make and the lowest may not: reads, a look at the
    highest's own user, and a delete.
    """
    lowest, highest = await world.user(world.roles[0]), await world.user(world.highest)
    requests = [
        await world.request(operation, highest) for operation in await barred(world, attacker)
    ]
    own = await world.request(world.spec.operations["fetch-user-self"], highest)
    if world.dialect.denies(
        own.operation, await world.perform(own, lowest, attack="SEC-H06-consistent")
    ):
        requests.append(own)
    if not world.read_only:
        requests.append(
            await world.request_on_own_fixture(
                world.spec.operations["delete-knowledge-item"], highest
            )
        )
    return requests


async def refreshed_by_lowest(order: str, world: World) -> Exchange | None:
    """The answer to a GET refresh with two tokens that shows that the lowest role's counts; None
    where it shows nothing.
    """
    caller = await any_session(world, world.roles[0])
    fetch = await world.request(world.spec.operations["fetch-user-self"], caller)
    refresh = replace(
        fetch,
        path=f"{TOKENS}?{urlencode({'refreshToken': caller.grant.refresh_token})}",
        thing=None,
    )
    answer = await with_both(order, refresh, world, "SEC-H06-consistent", caller)
    return answer if Grant.of(answer).user == caller.user else None


@requirement("SEC-H06-consistent")
@each("order", BOTH)
async def test_of_two_tokens_the_same_counts_everywhere(
    order: str, world: World, attacker: Attacker
) -> None:
    """Of two tokens in one request, the same one counts at every operation."""
    opened: dict[bool, Exchange] = {}
    for request in await closed_to_the_lowest(world, attacker):
        answer = await with_both(order, request, world, "SEC-H06-consistent")
        if answer.status >= 500:
            raise Finding("one of the tokens, or a refusal", f"{answer.status}", answer)
        if world.dialect.allows(request.operation, answer):
            opened[True] = answer
        elif answer.status in _REFUSES_TOKENS or world.dialect.denies_as_specified(
            request.operation, answer
        ):
            # any other answer, such as 404, 409 or 428, does not say whose token counted
            opened[False] = answer
    if refreshed := await refreshed_by_lowest(order, world):
        opened[False] = refreshed

    if len(opened) == 2:
        raise Finding(
            "the same token everywhere, or a refusal",
            f"{opened[True]}, but {opened[False]}",
            opened[True],
        )


@requirement("SEC-H06")
@each("order", BOTH)
async def test_which_of_two_tokens_counts(
    order: str, world: World, attacker: Attacker, judge: Judge
) -> None:
    """Which of two tokens in one request counts is noted."""
    operation = (await barred(world, attacker))[0]
    request = await world.request(operation, await world.user(world.highest))

    answer = await with_both(order, request, world, "SEC-H06")

    opens = world.dialect.allows(operation, answer)
    counts = (
        "the highest role's counts"
        if opens
        else f"the highest role's does not count ({answer.status or answer.error})"
    )
    judge.note(f"of two tokens, {order.replace('-', ' ')}, {counts}")


# --- Other headers -----------------------------------------------------------------------------

#: Headers by which a gateway tells a server who is calling, and cookies that a server may have
#: given once: with the highest role's user, name or address as value.
IDENTITIES: dict[str, Callable[[Caller], dict[str, str]]] = {
    "X-User-Id": lambda highest: {
        **dict.fromkeys(("X-User-Id", "X-User", "X-Account-Id", "X-Auth-User-Id"), highest.user),
        **dict.fromkeys(("X-Subject", "X-Act-As", "X-Impersonate-User"), highest.user),
        "Cookie": f"userId={highest.user}; user={highest.user}",
    },
    "X-Role": lambda highest: {
        **dict.fromkeys(("X-Role", "X-User-Role", "X-Scope", "X-User-Scope"), highest.role),
        **dict.fromkeys(("X-Roles", "X-Scopes", "X-Permissions", "X-Auth-Scope"), highest.role),
        "X-Admin": "true",
        "Cookie": f"role={highest.role}; scope={highest.role}",
    },
    "X-Forwarded-User": lambda highest: {
        **dict.fromkeys(("X-Forwarded-User", "X-Remote-User", "Remote-User"), highest.email),
        **dict.fromkeys(("X-Authenticated-User", "X-Forwarded-Email"), highest.email),
        **dict.fromkeys(("X-Auth-Request-User", "X-Auth-Request-Email"), highest.email),
        "X-SSL-Client-Verify": "SUCCESS",
        "X-SSL-Client-S-DN": f"CN={highest.email}",
    },
}


@requirement("SEC-H09")
@each("header", IDENTITIES)
async def test_no_header_makes_another_user(header: str, world: World, attacker: Attacker) -> None:
    """A header or cookie that names the highest role's user does not change the caller."""
    lowest, highest = await world.user(world.roles[0]), await world.user(world.highest)
    headers = IDENTITIES[header](highest)
    for operation in (await barred(world, attacker))[:2]:
        protected_request = await world.request(operation, highest)
        answer = await world.perform(protected_request, lowest, attack="SEC-H09", headers=headers)
        await attacker.expect_denied(answer, protected_request, lowest)

    await expect_own_user(lowest, headers, world)


#: What a framework writes into a request that it sends to itself (CVE-2025-29927): the name of its
#: middleware, as old versions and new ones call it, as often as it would not be run again.
SUBREQUESTS = ("pages/_middleware", *["middleware"] * 5, *["src/middleware"] * 5)


def origins(world: World) -> dict[str, dict[str, str]]:
    """What a request may say of where it comes from: this machine, what has let it in before, or a
    page of the target's.
    """
    parts = urlsplit(world.client.base_url)
    origin = f"{parts.scheme}://{parts.netloc}"
    addresses = (
        *("X-Forwarded-For", "X-Real-IP", "X-Client-IP", "True-Client-IP", "Client-IP"),
        *("CF-Connecting-IP", "X-Cluster-Client-IP", "X-Originating-IP", "X-Remote-Addr"),
    )
    return {
        "this-machine": {
            **dict.fromkeys(addresses, "127.0.0.1"),
            "Forwarded": "for=127.0.0.1",
            "X-Envoy-Internal": "true",
            "X-Middleware-Subrequest": ":".join(SUBREQUESTS),
        },
        "own-page": {"Origin": origin, "Referer": f"{origin}/admin/"},
    }


@requirement("SEC-H09")
@each("place", ("this-machine", "own-page"))
async def test_no_place_opens_more(place: str, world: World, attacker: Attacker) -> None:
    """A request that says that it comes from this machine, or from a page of the target's own, may
    do no more, and nothing without a token.
    """
    lowest, highest = await world.user(world.roles[0]), await world.user(world.highest)
    closed = await world.request((await barred(world, attacker))[0], highest)

    headers = origins(world)[place]

    answer = await world.perform(closed, lowest, attack="SEC-H09", headers=headers)
    stranger = await world.perform(closed, None, attack="SEC-H09", headers=headers)

    await attacker.expect_denied(answer, closed, lowest)
    if world.dialect.allows(closed.operation, stranger):
        plain = await world.perform(closed, None, attack="SEC-H09")
        if not world.dialect.allows(closed.operation, plain):
            raise Finding(
                "a refusal without a token, as without these headers",
                f"{stranger.status}: it was allowed",
                stranger,
            )


#: Headers by which a front-end tells a server the path that was asked for.
PATHS = ("X-Original-URL", "X-Rewrite-URL")


@requirement("SEC-H09")
@each("header", PATHS)
async def test_no_header_makes_another_path(header: str, world: World, attacker: Attacker) -> None:
    """A header that names another path does not change the path."""
    lowest, highest = await world.user(world.roles[0]), await world.user(world.highest)
    closed = await world.request((await barred(world, attacker))[0], highest)
    prefix = urlsplit(world.client.base_url).path
    own = await world.request(world.spec.operations["fetch-user-self"], lowest)

    answer = await world.perform(
        closed, lowest, attack="SEC-H09", headers={header: f"{prefix}{own.path}"}
    )

    await attacker.expect_denied(answer, closed, lowest)
    await expect_own_user(lowest, {header: f"{prefix}{closed.path}"}, world)


async def expect_own_user(caller: Caller, headers: Mapping[str, str], world: World) -> None:
    """A fetch of one's own user with such headers shows one's own user, or is refused."""
    request = await world.request(world.spec.operations["fetch-user-self"], caller)
    answer = cite(await world.perform(request, caller, attack="SEC-H09", headers=headers), "answer")
    if answer.ok and not shows_id(answer, caller.user):
        raise Finding(
            f"user {caller.user}, whatever {', '.join(headers)} says", "another user", answer
        )
    if answer.status >= 500:
        raise Finding("an answer other than a server error", f"{answer.status}", answer)
