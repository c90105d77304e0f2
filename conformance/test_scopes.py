"""Scopes as a law over what was observed: they cascade, and a key's scopes add up."""

from __future__ import annotations

from itertools import combinations, pairwise
from typing import Any

import pytest

from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.loading import load_specification
from rolecall.spec.model import API_KEY, CREDENTIALS
from rolecall.tokens import Caller
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.controls import expect_denied_as_usual
from rolecall.toolkit.expectations import expect_refused
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import SUMMARY, each, requirement
from rolecall.toolkit.observed_cells import ObservedCells
from rolecall.toolkit.rights import in_shares, reads
from rolecall.toolkit.world import World

_ROLES = load_specification().roles


@requirement("SCOPE-cascade", phase=SUMMARY)
@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize(("lower", "higher"), list(pairwise(_ROLES)))
async def test_a_role_may_do_what_the_one_below_may(
    credential: str, lower: str, higher: str, world: World, observed: ObservedCells, judge: Judge
) -> None:
    """What a role was seen to be allowed, the next higher role was allowed, too."""
    if credential == API_KEY:
        for role in (lower, higher):
            await world.key(role)  # says what is missing where there is none
    seen = observed.cells(credential)
    allowed = seen.allowed(lower, higher)
    if not allowed:
        raise NotTested(
            f"no cell was observed that {lower} was allowed and {higher} tried, with {credential}s"
        )

    broken = seen.breaks(lower, higher)

    judge.cite(
        *(seen.answers[operation, role] for operation in allowed for role in (lower, higher))
    )
    # One cell that is wrong by itself is that cell's finding; the cascade is broken when a role's
    # scope lacks the lower one.
    if len(broken) > 1:
        raise Finding(
            f"{higher} may what {lower} may",
            f"{higher} was refused {', '.join(broken)}",
            seen.answers[broken[0], higher],
        )
    if broken:
        for role in (lower, higher):
            judge.cite(seen.answers[broken[0], role])
        raise Inconclusive(
            f"the cascade at {broken[0]}, where a cell contradicts the table",
            world.spec.operations[broken[0]].requirement,
        )


#: What `scopes` may not be when a key is created; ``...`` leaves the member out.
NO_SCOPES: dict[str, Any] = {
    "empty-array": [],
    "missing": ...,
    "null": None,
    "string": "guest",
    "array-of-numbers": [1],
    "array-with-null": ["guest", None],
    "object": {"guest": True},
}


@requirement("KEY-scopes")
@each("case", NO_SCOPES)
async def test_a_key_needs_an_array_of_scopes(case: str, world: World) -> None:
    """A key without a non-empty array of strings as scopes is refused; with one it is made."""
    answer = await world.ask_for_key(NO_SCOPES[case], attack="KEY-scopes")

    if answer.ok:
        raise Finding(
            "no key without one or more scopes in an array of strings",
            f"{answer.status}: a key was made",
            answer,
        )
    if not 400 <= answer.status < 500:
        raise Finding("a refusal", f"{answer.status}", answer)


@requirement("KEY-scopes")
async def test_a_scope_in_other_letters_gives_nothing(world: World, attacker: Attacker) -> None:
    """Scope names are case-sensitive (RFC 6749 3.3): other letters give no rights."""
    top, reserved = world.highest, attacker.reserved[0]
    answer = await world.ask_for_key([top.capitalize()], attack="KEY-scopes")
    if not answer.ok:
        expect_refused(answer)
        return

    key, real = world.key_of(answer, [top]), await world.key(top)
    control, shown = await world.reads(real, reserved.name), await world.reads(key, reserved.name)
    if not world.dialect.allows(reserved, control):
        raise Inconclusive(
            f"{reserved.name} allowed to a key of {top}: {control}", reserved.requirement
        )
    if not world.dialect.denies(reserved, shown):
        raise Finding(
            f"no rights of {top} from a scope {top.capitalize()!r}",
            f"{shown.status} at {reserved.name}",
            shown,
        )


@requirement("KEY-scopes")
@pytest.mark.parametrize("role", _ROLES)
async def test_a_key_of_one_scope_is_made(role: str, world: World) -> None:
    """A key is made with an array of one scope, and is let in."""
    key = await world.create_key([role])

    await world.alive(key, 0.0)


#: Two scopes a key: any two of the roles.
PAIRS = {f"{lower}-and-{higher}": [lower, higher] for lower, higher in combinations(_ROLES, 2)}


@requirement("KEY-union")
@each("pair", PAIRS)
async def test_a_key_may_do_the_union_of_its_scopes(pair: str, world: World, judge: Judge) -> None:
    """A key with two scopes may do what either may, and nothing that neither may.

    Each row is read with half of the keys, and with each where the run is ``--intrusive``.
    """
    scopes, rows = PAIRS[pair], reads(world.spec)
    key = await world.create_key(scopes)

    if not world.intrusive:
        rows = in_shares(rows, world.spec, 2)[list(PAIRS).index(pair) % 2]
    await judge.expect_rights(key, scopes, rows)


#: Scopes that stand for the same rights as the plain, ascending set of them; in the first two the
#: lowest is the last.
SPELLINGS = {
    "swapped": [_ROLES[2], _ROLES[0]],
    "repeated-and-mixed": [_ROLES[0], _ROLES[2], _ROLES[0]],
    "repeated": [_ROLES[2], _ROLES[2]],
}


@requirement("KEY-order")
@each("spelling", SPELLINGS)
async def test_order_and_repetition_do_not_matter(
    spelling: str, world: World, judge: Judge
) -> None:
    """A key whose scopes are in another order, or repeated, has the rights of the set of them.

    Each row is read with one of the keys whose last scope is the lowest, and with each key where
    the run is ``--intrusive``.
    """
    scopes = SPELLINGS[spelling]
    answer = await world.ask_for_key(scopes)
    # "one or more scopes" does not say that one may come twice
    if not answer.ok and len(set(scopes)) < len(scopes):
        raise NotApplicable(f"the target makes no key with a scope that comes twice ({answer})")
    key = world.key_of(answer, scopes)

    rows = reads(world.spec)
    if not world.intrusive:
        rows = in_shares(rows, world.spec, 2)[list(SPELLINGS).index(spelling) % 2]
    await judge.expect_rights(key, scopes, rows)


@requirement("SEC-E15")
@pytest.mark.parametrize("scope", _ROLES[:-1])
async def test_what_the_token_says_counts(scope: str, world: World, attacker: Attacker) -> None:
    """A well signed token with a lower scope than its user's role has only that scope's rights.

    That is advice: no token that a server issues has another scope than its user's role, so that a
    server may as well look the role up. Keys may have one, and have cells of their own.
    """
    admin, operation = await world.user(world.highest), attacker.reserved[0]
    caller = Caller(scope, "made token", await attacker.made(admin, scope=scope), admin.user)
    plainly = await world.user(scope)
    await expect_denied_as_usual(world, plainly, operation.name)
    protected_request = await world.request(operation, caller)

    answer = await world.perform(protected_request, caller, attack="SEC-E15")

    await attacker.expect_denied(answer, protected_request, plainly)
    if scope == _ROLES[0]:
        write = await world.request(world.spec.operations["create-service"], caller)
        made = await world.perform(write, caller, attack="SEC-E15")
        again = await world.request(write.operation, caller)
        await attacker.expect_denied(made, again, plainly)
