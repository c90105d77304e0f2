"""The token's form and claims: one spelling, one scope, and a user that exists."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rolecall.evidence import cite
from rolecall.jwt_forging import Parts, with_member
from rolecall.outcomes import Inconclusive, NotApplicable
from rolecall.spec.ids import unused_id
from rolecall.toolkit.attacker import Attacker, unissued
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.things import Request
from rolecall.toolkit.world import World

# --- The form -----------------------------------------------------------------------------------


def flattened(parts: Parts) -> str:
    """The flattened JSON serialisation (RFC 7515 7.2.2)."""
    return json.dumps(
        {"payload": parts.body, "protected": parts.head, "signature": parts.signature}
    )


def general(parts: Parts) -> str:
    """The general JSON serialisation (RFC 7515 7.2.1)."""
    signatures = [{"protected": parts.head, "signature": parts.signature}]
    return json.dumps({"payload": parts.body, "signatures": signatures})


def within(text: str, stranger: str) -> str:
    """A part with characters in the middle that do not belong there."""
    return f"{text[: len(text) // 2]}{stranger}{text[len(text) // 2 :]}"


#: Other ways to write an issued token. In these its header or claims are written otherwise than
#: they were signed.
SPELLINGS: dict[str, Callable[[Parts], str]] = {
    "flattened-json": flattened,
    "general-json": general,
    "padding-behind-the-header": lambda parts: f"{parts.head}=.{parts.body}.{parts.signature}",
    "padding-behind-the-claims": lambda parts: f"{parts.head}.{parts.body}=.{parts.signature}",
    "space-in-the-claims": lambda parts: (
        f"{parts.head}.{within(parts.body, ' ')}.{parts.signature}"
    ),
    "tab-in-the-claims": lambda parts: (
        f"{parts.head}.{within(parts.body, chr(9))}.{parts.signature}"
    ),
    "other-characters-in-the-claims": lambda parts: (
        f"{parts.head}.{within(parts.body, '!*')}.{parts.signature}"
    ),
}

#: The same signature, written in other ways.
SIGNATURES: dict[str, Callable[[Parts], str]] = {
    "padding": lambda parts: f"{parts.signature}{'=' * (-len(parts.signature) % 4 or 4)}",
    "space": lambda parts: within(parts.signature, " "),
    "other-characters": lambda parts: within(parts.signature, "!*$~"),
}


@requirement("SEC-J15")
@each("spelling", SPELLINGS)
async def test_a_token_has_one_spelling(spelling: str, attacker: Attacker) -> None:
    """An issued token in JSON form, or with foreign characters in it, is rejected."""
    token = SPELLINGS[spelling](await attacker.issued())

    await attacker.expect_rejected(
        token,
        attack="SEC-J15",
        protected_requests=[await attacker.protected_request_for(spelling, SPELLINGS)],
        statuses=attacker.unreadable,
    )


@requirement("SEC-J15-signature")
@each("spelling", SIGNATURES)
async def test_a_signature_has_one_spelling(spelling: str, attacker: Attacker) -> None:
    """An issued token whose signature has padding or foreign characters is rejected."""
    parts = await attacker.issued()
    token = f"{parts.head}.{parts.body}.{SIGNATURES[spelling](parts)}"

    await attacker.expect_rejected(
        token,
        attack="SEC-J15-signature",
        protected_requests=[await attacker.protected_request_for(spelling, SIGNATURES)],
        statuses=attacker.unreadable,
    )


# --- The claims --------------------------------------------------------------------------------


async def twice(first: str, second: str, world: World, attacker: Attacker) -> tuple[str, Request]:
    """A well signed token of the lowest role with two scopes, and a request of the highest role."""
    lowest = await world.user(world.roles[0])
    scopes = {
        role: json.dumps(Parts.of((await world.user(role)).token).claim("scope"))
        for role in (first, second)
    }
    body = with_member(Parts.of(lowest.token).claims, "scope", scopes[first], scopes[second])
    token = await attacker.made(lowest, body=body)
    protected_request = await attacker.protected_request(
        attacker.reserved[0], await world.user(world.highest)
    )
    if not protected_request:
        raise Inconclusive(
            "a list that only the highest role may see", attacker.reserved[0].requirement
        )
    return token, protected_request


@requirement("SEC-J14-never-wider")
async def test_of_two_scopes_the_first_never_counts(world: World, attacker: Attacker) -> None:
    """A token with two scopes, the highest first, does not have the highest's rights."""
    token, protected_request = await twice(world.highest, world.roles[0], world, attacker)

    answer = await world.perform(protected_request, unissued(token), attack="SEC-J14-never-wider")

    await attacker.expect_denied(answer, protected_request, await world.user(world.roles[0]))


@requirement("SEC-J14")
async def test_what_becomes_of_two_scopes(world: World, attacker: Attacker, judge: Judge) -> None:
    """Which of two scopes counts, the highest last, is noted."""
    token, protected_request = await twice(world.roles[0], world.highest, world, attacker)

    answer = await world.perform(protected_request, unissued(token), attack="SEC-J14")

    judge.note(
        "of two scopes in one token "
        f"{'the last counts' if answer.ok else f'the last does not count ({answer.status})'}"
    )


#: Claims `_id` of no user, as JSON text; "{user}" is the id of a user that there is.
NOBODY: dict[str, list[str]] = {
    "unknown": ['"{unknown}"'],
    "empty": ['""'],
    "missing": [],
    "null": ["null"],
    "array": ['["{user}"]'],
    "object": ['{"$ne":null}'],
    "number": ["0"],
}


@requirement("SEC-J17")
@each("user", NOBODY)
async def test_a_token_of_nobody_is_refused(user: str, world: World, attacker: Attacker) -> None:
    """A well signed token whose user is unknown, empty or not a string is rejected."""
    admin = await world.user(world.highest)
    parts = Parts.of(admin.token)
    real_id = str(parts.user)
    unknown = unused_id(real_id)
    values = [
        value.replace("{user}", real_id).replace("{unknown}", unknown) for value in NOBODY[user]
    ]
    token = await attacker.made(admin, body=with_member(parts.claims, "_id", *values))

    await attacker.expect_rejected(
        token,
        attack="SEC-J17",
        protected_requests=[await attacker.protected_request_for(user, NOBODY)],
        statuses=attacker.unreadable,
    )


@requirement("SEC-J18")
@each("claim", ("iss", "aud"))
async def test_a_token_for_others_is_refused(claim: str, world: World, attacker: Attacker) -> None:
    """A well signed token with another issuer or audience is rejected, where tokens name one."""
    admin = await world.user(world.highest)
    if claim not in Parts.of(admin.token).claims:
        cite(admin.grant.exchange, "answer")
        raise NotApplicable(f"the target's tokens have no {claim}")
    others: dict[str, Any] = {claim: "https://rolecall.invalid"}
    token = await attacker.made(admin, **others)

    await attacker.expect_rejected(token, attack="SEC-J18")
