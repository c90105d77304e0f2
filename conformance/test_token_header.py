"""The token's header: it brings no key, names no key elsewhere and asks for nothing unknown."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from rolecall.evidence import Exchange
from rolecall.jwt_forging import compact, signed_by
from rolecall.outcomes import Finding, NotTested
from rolecall.toolkit.attacker import KEY_SET, TOO_LONG, Attacker, unissued
from rolecall.toolkit.callback_server import NOWHERE, listening
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.world import World
from rolecall.urls import is_loopback

# --- The header ---------------------------------------------------------------------------------


@requirement("SEC-J10")
@each("kind", ("RSA", "EC", "oct"))
async def test_an_embedded_key_is_not_used(kind: str, attacker: Attacker) -> None:
    """A token that brings the key for its own signature in its header, as a JWK or in a
    certificate, is not let in.
    """
    parts, key = await attacker.issued(), attacker.own_key(kind)
    header = {**parts.header, "alg": key.algorithm, "jwk": dict(key.jwk)}
    if key.certificates:
        header["x5c"] = list(key.certificates)
    token = compact(header, parts.claims, key.sign)

    await attacker.expect_rejected(token, attack="SEC-J10", statuses=attacker.not_valid_or_long)


REFERENCES = ("jku", "x5u")


async def referring(reference: str, url: str, attacker: Attacker) -> str:
    """A token whose header names the address of its key."""
    parts, key = await attacker.issued(), attacker.own_key("RSA")
    header = {**parts.header, "alg": key.algorithm, reference: f"{url}{KEY_SET}", "kid": "rolecall"}
    return compact(header, parts.claims, key.sign)


async def key_set(attacker: Attacker) -> dict[str, Any]:
    """The document at that address."""
    key = attacker.own_key("RSA")
    return {"keys": [{**key.jwk, "kid": "rolecall", "use": "sig", "alg": key.algorithm}]}


@requirement("SEC-J11-denied")
@each("reference", REFERENCES)
async def test_a_key_from_elsewhere_is_not_used(
    reference: str, world: World, attacker: Attacker
) -> None:
    """A token that names the address of the key for its own signature is not let in."""
    async with listening(await key_set(attacker)) as listener:
        url = listener.url if is_loopback(world.target.base_url) else NOWHERE
        token = await referring(reference, url, attacker)

        await attacker.expect_rejected(
            token, attack="SEC-J11-denied", statuses=attacker.not_valid_or_long
        )


@requirement("SEC-J11")
@each("reference", REFERENCES)
async def test_an_address_in_a_token_is_not_called(
    reference: str, world: World, attacker: Attacker
) -> None:
    """The address that a token names for its key is not called."""
    if not is_loopback(world.target.base_url):
        raise NotTested("a listener that the target can reach: only for targets on this machine")
    async with listening(await key_set(attacker)) as listener:
        token = await referring(reference, listener.url, attacker)
        protected_request = (await attacker.protected_requests())[0]

        answer = await world.perform(protected_request, unissued(token), attack="SEC-J11")

        if await listener.was_called():
            raise Finding(f"no call to the address in {reference}", "it was called", answer)


#: Members `kid`, and the secrets that a server would then check with.
KEY_IDS: dict[str, tuple[Any, bytes]] = {
    "path-to-an-empty-file": ("../../../../../../../../dev/null", b""),
    "empty-file": ("/dev/null", b""),
    "sql": ("x' UNION SELECT 'rolecall' -- ", b"rolecall"),
    "sql-sleep": ("x'; SELECT pg_sleep(5); -- ", b""),
    "nosql": ('{"$ne": null}', b""),
    "object": ({"$ne": None}, b""),
    "command": ("x; sleep 5 #", b""),
    "four-kilobytes": ("k" * 4096, b""),
}
_ASLEEP = 5.0  # seconds, which some of them ask for


@requirement("SEC-J12")
@each("kid", KEY_IDS)
async def test_a_key_id_is_only_an_id(kid: str, attacker: Attacker) -> None:
    """A kid that is a path, a query, a command or very long finds no key and breaks nothing."""
    parts = await attacker.issued()
    value, secret = KEY_IDS[kid]
    token = compact(
        {**parts.header, "alg": "HS256", "kid": value}, parts.claims, signed_by("HS256", secret)
    )
    too_long = TOO_LONG if kid == "four-kilobytes" else ()

    rejected = partial(
        attacker.expect_rejected,
        token,
        attack="SEC-J12",
        statuses=(*attacker.unreadable, *too_long),
    )
    one = await attacker.protected_request_for(kid, KEY_IDS)

    answers = await rejected(protected_requests=[one])

    if sleeps(answers):
        answers += await rejected(protected_requests=[one, one])  # once may be chance
        if sleeps(answers):
            raise Finding(
                "an answer at once", f"{_ASLEEP:g} s of sleep, as the kid asks", answers[-1]
            )


def sleeps(answers: Iterable[Exchange]) -> bool:
    """Whether each answer took as long as the command in a kid asks for."""
    return all(answer.finished - answer.started >= _ASLEEP for answer in answers)


@requirement("SEC-J13")
async def test_a_critical_extension_is_not_passed_over(world: World, attacker: Attacker) -> None:
    """A well signed token with an unknown critical extension is rejected."""
    admin = await world.user(world.highest)
    extension = "https://rolecall.invalid/unheard-of"
    token = await attacker.made(admin, header={"crit": [extension], extension: True})

    await attacker.expect_rejected(token, attack="SEC-J13", statuses=attacker.unreadable)
