"""API keys: no way around the permission table, gone when they are deleted, and shown once."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.ids import in_path
from rolecall.spec.loading import load_specification
from rolecall.spec.model import API_KEY, API_KEYS, Operation
from rolecall.tokens import Caller, Grant, claims_of
from rolecall.toolkit.attacker import Attacker, unissued
from rolecall.toolkit.expectations import expect_no_crash
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement
from rolecall.toolkit.rights import expect_no_rights_above, reserved_above
from rolecall.toolkit.throwaway_users import (
    any_session,
    change,
    changeable,
    delete_user,
    throwaway_user,
)
from rolecall.toolkit.world import World

_ROLES = load_specification().roles

# --- No way around the table --------------------------------------------------------------------

#: A role, and the higher scope that it asks for.
LADDER = {
    f"{lower}-asks-for-{higher}": (lower, [higher]) for lower, higher in combinations(_ROLES, 2)
}
LADDER[f"{_ROLES[0]}-asks-for-its-own-and-{_ROLES[-1]}"] = (_ROLES[0], [_ROLES[0], _ROLES[-1]])
#: The same by a key of that scope, whose user may be one who may.
_BY_KEY = f"{_ROLES[0]}-key-asks-for-{_ROLES[-1]}"
LADDER[_BY_KEY] = (_ROLES[0], [_ROLES[-1]])


@requirement("SEC-K01")
@each("case", LADDER)
async def test_no_role_gets_a_key_above_itself(case: str, world: World) -> None:
    """A role that asks for a key above its own scope gets none, or one without more rights; so does
    a key of that scope.
    """
    role, scopes = LADDER[case]
    maker = await (world.key(role) if case == _BY_KEY else changeable(world, role))

    answer = cite(await world.ask_for_key(scopes, attack="SEC-K01", maker=maker), "answer")

    expect_no_crash(answer)
    if answer.ok:
        await expect_no_rights_above(role, world.key_of(answer, scopes), world, f"that {role} made")


#: What `scopes` holds beside names that are known, and those of it that are.
ODD_SCOPES: dict[str, tuple[list[Any], str]] = {
    "unknown": (["rolecall"], ""),
    "unknown-beside-the-lowest": (["{low}", "rolecall"], "{low}"),
    "joined-by-a-comma": (["{low},{high}"], ""),
    "in-capitals": (["{HIGH}"], ""),
    "with-a-space": (["{high} "], ""),
    "longer": (["{high}istrator"], ""),
    "wildcard": (["*"], ""),
    "array-in-the-array": ([["{high}"]], ""),
}


@requirement("SEC-K04")
@each("case", ODD_SCOPES)
async def test_odd_scopes_give_no_rights(case: str, world: World) -> None:
    """A key with unknown scopes is refused, or has no more rights than its known scopes give."""
    names = {"low": world.roles[0], "high": world.highest, "HIGH": world.highest.upper()}
    scopes, known = (
        world.fill(ODD_SCOPES[case][0], **names),
        world.fill(ODD_SCOPES[case][1], **names),
    )

    answer = cite(await world.ask_for_key(scopes, attack="SEC-K04"), "answer")

    expect_no_crash(answer)
    if answer.ok:
        await expect_no_rights_above(
            known, world.key_of(answer, [case]), world, f"with scopes {case.replace('-', ' ')}"
        )


# --- A key is not a user's token ---------------------------------------------------------------

#: Where a key stands in a refresh in place of what belongs there.
PLACES = ("bearer", "refresh-token-by-post", "refresh-token-by-get", "client-id")


async def refresh_with_key(place: str, key: Caller, caller: Caller, world: World) -> Exchange:
    """Refresh a session with a key in one place."""
    refresh_token, who = caller.grant.refresh_token, str(key)
    if place == "bearer":
        return await world.tokens.refresh_get(
            refresh_token, bearer=key.token, caller=who, attack="SEC-K05"
        )
    if place == "refresh-token-by-get":
        return await world.tokens.refresh_get(
            key.token, bearer=key.token, caller=who, attack="SEC-K05"
        )
    if place == "refresh-token-by-post":
        maker = world.account(world.highest).email
        return await world.tokens.refresh_post(key.token, maker, caller=who, attack="SEC-K05")
    return await world.tokens.refresh_post(refresh_token, key.token, caller=who, attack="SEC-K05")


@requirement("SEC-K05")
@each("place", PLACES)
async def test_a_key_gets_no_other_users_token(place: str, world: World, judge: Judge) -> None:
    """A key in a refresh gets no token wider than that of the refresh token's user."""
    key = await world.key(world.roles[0])
    caller = await any_session(world, world.roles[0])

    answer = await refresh_with_key(place, key, caller, world)

    if place.startswith("refresh-token"):
        expect_no_wider(answer, key, world)
    else:
        await judge.expect_refresh_at_most(answer, caller, "get" if place == "bearer" else "post")
    judge.note(
        f"a key as {place.replace('-', ' ')}: "
        f"{'exchanged for a token' if answer.ok else f'refused ({answer.status})'}"
    )


def expect_no_wider(answer: Exchange, key: Caller, world: World) -> None:
    """A refusal, or a token of the user whom the key acts as, with the key's scope."""
    expect_no_crash(answer)
    grant = Grant.of(answer)
    if grant.token and (
        grant.user != key.user or world.role_of_scope(grant.claims.get("scope")) != key.role
    ):
        raise Finding(
            f"no token, or one of user {key.user} with scope {key.role}",
            f"{grant.user}, {grant.scope!r}",
            answer,
        )


# --- Keys that are gone, and keys whose maker is -----------------------------------------------


async def protected_request(key: Caller, world: World) -> tuple[Operation, Exchange]:
    """Something that a key is seen to be allowed, so that a server which remembers keys remembers
    this one now.

    Raises:
        Inconclusive: there is nothing.
    """
    for operation in world.spec.operations.values():
        if operation.effect == "list" and world.spec.allows(operation.name, key.role):
            answer = await world.perform(await world.request(operation, key), key)
            if world.dialect.allows(operation, answer):
                return operation, cite(answer, "control")
    raise Inconclusive(f"a list that {key} may see", "the cells of API keys")


async def is_let_in(
    key: Caller, operation: Operation, since: float, world: World, attack: str
) -> Exchange | None:
    """The answer that still lets a key in when the patience with a server that lags is over; None
    when it is refused.
    """
    request = await world.request(operation, key)

    async def ask() -> Exchange:
        return cite(await world.perform(request, key, attack=attack), "answer")

    answer = await world.patience.until_refused(ask, since, f"{attack} refused")
    return answer if answer.ok else None


async def delete_key(key: Exchange, world: World) -> Exchange:
    """Let the highest role's account delete a key, by the answer that gave it.

    Raises:
        NotTested: there is no way to.
    """
    name = json.loads(key.request_body)["name"]
    entry = world.ledger.named(API_KEY, name)
    if entry is None or not entry.id:
        why = (
            "its id is not certain, for neither the answer nor a list shows it with its name"
            if entry and entry.claimed
            else "the target gives no id for it"
        )
        raise NotTested(f"a key that can be deleted: {why} ({key})", API_KEYS)
    answer = await world.delete_key(entry)
    if not answer.ok:
        raise NotTested(f"a key that can be deleted by {world.highest}: {answer}", API_KEYS)
    return answer


@requirement("SEC-K02")
async def test_a_deleted_key_opens_nothing(world: World) -> None:
    """A key that was used and then deleted is not let in any more."""
    made = await world.ask_for_key([world.highest])
    key = world.key_of(made, [world.highest])
    operation, _ = await protected_request(key, world)
    deleted = await delete_key(made, world)

    if let_in := await is_let_in(key, operation, deleted.finished, world, "SEC-K02"):
        raise Finding("no rights for a key that was deleted", f"{let_in.status}: let in", let_in)


@requirement("SEC-K03")
async def test_a_key_ends_with_its_maker(world: World) -> None:
    """A key opens nothing any more once the user whom it acts as was deleted."""
    maker = await throwaway_user(world, world.highest)
    # else one of them might be left
    await delete_key(await world.ask_for_key([world.roles[0]], maker=maker.caller), world)
    key = await made_by(maker.caller, world)
    operation, _ = await protected_request(key, world)
    deleted = await delete_user(world, maker)

    if let_in := await is_let_in(key, operation, deleted.finished, world, "SEC-K03"):
        raise Finding(
            "no rights for a key whose user was deleted", f"{let_in.status}: let in", let_in
        )


async def made_by(maker: Caller, world: World) -> Caller:
    """A key of the highest scope that a made-up user has made, and acts as.

    Raises:
        NotApplicable: it acts as somebody else.
    """
    key = await world.create_key([world.highest], maker)
    if key.user and key.user != maker.user:
        raise NotApplicable(f"a key acts as user {key.user}, who did not make it")
    return key


@requirement("SEC-K03-demoted")
async def test_what_becomes_of_a_key_whose_maker_is_demoted(world: World, judge: Judge) -> None:
    """When the role of a key's maker is lowered, what the key may still do is written down."""
    maker = await throwaway_user(world, world.highest)
    key = await made_by(maker.caller, world)
    operation = reserved_above(world.roles[-2], world)[0]
    control = await world.perform(await world.request(operation, key), key)
    await change(world, maker, role=world.roles[0])

    answer = await world.perform(await world.request(operation, key), key)

    judge.cite(control, answer)
    judge.note(
        f"a key {'keeps its scope' if answer.ok else 'loses its scope'} when the role of its "
        "maker is lowered"
    )


# --- What is nearly a key -----------------------------------------------------------------------


#: What a database that looks for likeness takes for any key (CWE-155).
_PATTERN = "%"
#: A number in hexadecimal digits, as a UUID is (RFC 9562 4).
_DIGITS = re.compile(r"[0-9A-Fa-f-]+")


def nearly(key: str) -> list[str]:
    """The beginning of a key, a longer one, and its other letters; nothing of a JWT, whose parts
    are tried with tokens (SEC-J).
    """
    if claims_of(key):
        return []
    near = [key[: max(len(key) * 3 // 4, 1)], f"{key}0"]
    if not _DIGITS.fullmatch(key):  # of a number small and large letters say the same
        near.append(key.swapcase())
    return near


@requirement("SEC-E11-keys")
async def test_what_is_nearly_a_key_is_none(world: World, attacker: Attacker) -> None:
    """The beginning of a key, its other letters, a pattern, and the id of a key open nothing."""
    key = await world.key(world.roles[0])
    protected_request = await attacker.protected_request_of_everybody()
    ids = [entry.id for entry in world.ledger.entries if entry.resource == API_KEY and entry.id]
    known = [id for id in ids[:1] if id != key.token]  # else the key is its own name
    near = nearly(key.token)
    for text in near:
        world.client.secrets.add(text, "key")
    for id in known:
        world.client.secrets.publish(id)

    for text in (_PATTERN, *near, *known):
        answer = await world.perform(protected_request, unissued(text), attack="SEC-E11-keys")
        attacker.check_rejected(answer, protected_request, attacker.unreadable)


# --- Keys are shown once -----------------------------------------------------------------------


@requirement("SEC-K06")
@each("where", ("list", "fetch"))
async def test_a_key_is_shown_once(where: str, world: World, judge: Judge) -> None:
    """A key is shown in the answer that made it, and never again when keys are read."""
    made = await world.ask_for_key([world.roles[0]])
    key, path = world.key_of(made, [world.roles[0]]), world.target.api_keys.create_path
    entry = world.ledger.named(API_KEY, json.loads(made.request_body)["name"])
    if where == "fetch":
        if entry is None or not entry.id:
            raise NotApplicable(f"the target gives keys no id ({made})")
        path = f"{path}/{in_path(entry.id)}"

    answer = cite(await world.send("GET", path, await world.user(world.highest)), "answer")

    if not answer.ok:
        raise NotApplicable(f"the target does not {where} keys ({answer})")
    if key.token.rpartition(".")[2] in answer.text:
        raise Finding(
            "a key that is shown when it is made, and never again",
            f"{answer.status} with the key in it",
            answer,
        )
