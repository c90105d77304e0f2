"""Refresh: by GET with the bearer before expiry, by POST without it after."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable
from rolecall.pausing import sleep
from rolecall.tokens import Caller, Grant, user_of
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.controls import expect_denied_at_first
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement, roles
from rolecall.toolkit.neighbours import AS_CLIENTS, parts_of, twin_of
from rolecall.toolkit.refresh_tokens import (
    PART,
    altered_beginning,
    altered_end,
    altered_front,
    never_issued,
)
from rolecall.toolkit.throwaway_users import (
    another_session,
    any_session,
    fresh_session,
    lockable_account,
    refreshes_before_expiry,
)
from rolecall.toolkit.world import World

Refresh = Callable[[World, Grant, Caller], Awaitable[Exchange]]
Tampering = Callable[[str], str]


async def by_get(world: World, grant: Grant, caller: Caller) -> Exchange:
    """Refresh before expiry."""
    return await world.tokens.refresh_get(
        grant.refresh_token, bearer=grant.token, caller=str(caller)
    )


async def by_post(world: World, grant: Grant, caller: Caller) -> Exchange:
    """Refresh as after expiry."""
    return await world.tokens.refresh_post(grant.refresh_token, caller.email, caller=str(caller))


PATHS: dict[str, Refresh] = {"get": by_get, "post": by_post}
CHAINS: dict[str, list[Refresh]] = {
    "get": [by_get] * 5,
    "post": [by_post] * 5,
    "mixed": [by_get, by_post, by_post, by_get, by_post],
}

# --- What must work -----------------------------------------------------------------------------


@requirement("REFRESH-get")
@roles()
async def test_get_answers_as_issuance_does(role: str, world: World, judge: Judge) -> None:
    """GET with the valid bearer and the refresh token answers in the shape of a token creation."""
    caller = await fresh_session(world, role)

    answer = await by_get(world, caller.grant, caller)

    judge.expect_refreshed(answer)


@requirement("REFRESH-post")
@roles()
async def test_post_answers_as_issuance_does(role: str, world: World, judge: Judge) -> None:
    """POST with refresh token and e-mail is answered in the shape of a token creation; where no
    role is granted it before expiry, REFRESH-after-expiry judges it.
    """
    caller = await fresh_session(world, role)

    answer = await by_post(world, caller.grant, caller)

    if answer.status in world.dialect.refused and not await refreshes_before_expiry(world):
        cite(answer, "answer")
        raise NotApplicable(
            "POST refreshes nobody's session before its token has expired, and the page gives it "
            "for afterwards (REFRESH-after-expiry)"
        )
    judge.expect_refreshed(answer)


@requirement("REFRESH-same-user")
@each("path", PATHS)
@roles()
async def test_a_refresh_keeps_user_and_scope(
    path: str, role: str, world: World, judge: Judge, attacker: Attacker
) -> None:
    """The refreshed token has the same user and scope, in the answer and in the JWT, and opens no
    more at its first request than that scope may.
    """
    caller = await fresh_session(world, role)

    new = judge.expect_grant(await PATHS[path](world, caller.grant, caller))

    users = {"the answer's user": new.user}
    if user_of(caller.grant.claims):  # else that it names none is ISSUE-jwt's finding, not this one
        users["the JWT's user"] = user_of(new.claims)
    for what, value in users.items():
        if value != caller.user:
            raise Finding(f"{what} {caller.user}", f"{value!r}", new.exchange)
    for where, scope in new.scopes.items():
        if not world.is_scope_of(scope, role, caller.grant.scopes[where]):
            raise Finding(f"{where}'s scope {role}", f"{scope!r}", new.exchange)
    if role == world.roles[0]:
        await expect_denied_at_first(world, caller.continued(new), attacker.reserved[0].name)


@requirement("REFRESH-new-token")
@each("path", PATHS)
@roles()
async def test_a_refresh_gives_a_new_token_that_works(
    path: str, role: str, world: World, judge: Judge
) -> None:
    """The refreshed access token is a new one, lives 24 hours, and is the same user's."""
    caller = await fresh_session(world, role)

    new = judge.expect_grant(await PATHS[path](world, caller.grant, caller))

    if new.token == caller.token and new.claims.get("iat") == caller.grant.claims.get("iat"):
        # Without a jti, two tokens of the same second are the same to the letter.
        await sleep(1.1)
        new = judge.expect_grant(await PATHS[path](world, new, caller))
    if new.token == caller.token:
        raise Finding("a new access token", "the old one again", new.exchange)
    judge.expect_lifetime(new)
    await judge.expect_works(caller.continued(new))


@requirement("REFRESH-chain")
@each("chain", CHAINS)
async def test_a_chain_of_refreshes_does_not_break(chain: str, world: World, judge: Judge) -> None:
    """A refresh with the newest pair of tokens gives the next one, five times in a row."""
    caller = await fresh_session(world, world.roles[0])
    grant = caller.grant

    for number, refresh in enumerate(CHAINS[chain], 1):
        answer = await refresh(world, grant, caller)
        if answer.status not in world.dialect.refreshed:
            if number == 1 or (refresh is by_post and not await refreshes_before_expiry(world)):
                raise Inconclusive(
                    f"the chain's refresh {number}, by itself: {answer}",
                    "REFRESH-get, REFRESH-post",
                )
            raise Finding(
                f"{world.dialect.refreshed[0]} for refresh {number} of the chain",
                f"{answer.status}",
                answer,
            )
        grant = judge.expect_grant(answer)
    await judge.expect_works(caller.continued(grant))


# --- What must be refused ----------------------------------------------------------------------


@requirement("REFRESH-get-bearer")
async def test_get_needs_the_bearer(world: World, judge: Judge) -> None:
    """GET with a good refresh token but no Authorization header gets no token; with it, it does."""
    caller = await any_session(world, world.roles[0])
    grant = caller.grant

    answer = await world.tokens.refresh_get(
        grant.refresh_token, bearer="", caller="nobody", attack="REFRESH-get-bearer"
    )

    judge.expect_no_token(answer)
    await judge.control_refresh(by_get(world, grant, caller), caller)


@requirement("REFRESH-get-foreign")
async def test_get_needs_the_same_users_bearer(world: World, judge: Judge) -> None:
    """One user's bearer with the refresh token of another of a lower role gets no token, and both
    stay usable.
    """
    one, other = (
        await fresh_session(world, world.roles[-2]),
        await fresh_session(world, world.roles[0]),
    )
    grants = one.grant, other.grant

    answer = await world.tokens.refresh_get(
        grants[1].refresh_token, bearer=one.token, caller=str(one), attack="REFRESH-get-foreign"
    )

    judge.expect_no_token(answer)
    await judge.expect_works(one)
    await judge.expect_works(other)
    control = await by_get(world, grants[1], other)
    if not control.ok:
        raise Finding(
            "the other user's refresh token still good after the refusal",
            f"{control.status}",
            control,
        )


def cut_secret(length: int) -> Tampering:
    """The refresh token with its secret part cut to ``length`` characters."""

    def tamper(token: str) -> str:
        front, dot, secret = token.rpartition(".")
        return f"{front}{dot}{secret[: min(length, len(secret) - 1)]}"

    return tamper


#: Refresh tokens that are not the whole one. The page's own examples show theirs cut to 21 and 28
#: (AMB-03).
NOT_WHOLE: dict[str, Tampering] = {
    "secret-of-21": cut_secret(21),
    "secret-of-28": cut_secret(28),
    "last-character-off": lambda token: token[:-1],
    "one-character-more": lambda token: token + "0",
    "id-alone": lambda token: token.rpartition(".")[0] or token[: len(token) // 2],
    "id-and-dot": lambda token: (token.rpartition(".")[0] or token[: len(token) // 2]) + ".",
    "other-case": lambda token: token.swapcase(),
    "another-end": altered_end,
    "another-beginning-of-the-secret": altered_beginning,
    "another-front": altered_front,
    "wildcard-at-the-end": lambda token: token[:-PART] + "%",
}

#: Forms of the same kind as others, which are tried on one path each.
_ONCE = {
    "another-end": "post",
    "another-beginning-of-the-secret": "get",
    "another-front": "post",
    "wildcard-at-the-end": "get",
}


@requirement("REFRESH-whole-token")
@pytest.mark.parametrize(
    ("path", "form"),
    [(path, form) for path in PATHS for form in NOT_WHOLE if _ONCE.get(form, path) == path],
)
async def test_only_the_whole_refresh_token_refreshes(
    form: str, path: str, world: World, judge: Judge
) -> None:
    """A refresh token that is cut, lengthened or in other letters gets no token."""
    caller = await any_session(world, world.roles[0])
    grant = caller.grant
    tampered = NOT_WHOLE[form](grant.refresh_token)
    if tampered == grant.refresh_token:
        cite(grant.exchange)
        raise NotApplicable(
            f"{form.replace('-', ' ')}: the target's refresh tokens are the same with and without"
        )

    answer = await world.tokens.refresh_by(path, tampered, caller, attack="REFRESH-whole-token")

    judge.expect_no_token(answer)
    await judge.control_refresh(PATHS[path](world, grant, caller), caller)


@requirement("REFRESH-unknown-token")
@each("path", PATHS)
async def test_an_unknown_refresh_token_is_refused(path: str, world: World, judge: Judge) -> None:
    """A refresh token of the right form that was never issued gets no token; the real one does."""
    caller = await any_session(world, world.roles[0])
    grant = caller.grant

    unknown = never_issued(grant.refresh_token, grant.user)
    answer = await world.tokens.refresh_by(path, unknown, caller, attack="REFRESH-unknown-token")

    judge.expect_no_token(answer)
    await judge.control_refresh(PATHS[path](world, grant, caller), caller)


#: Values of clientId that are not the e-mail of the refresh token's user; ``...`` leaves the member
#: out.
NOT_THE_CLIENT = {
    "missing": ...,
    "empty": "",
    "unknown": "nobody-{run}@{domain}",
    "another-user": "{other}",
    "user-id": "{user}",
    "null": None,
    "local-part": "{local}",
    "of-another-domain": "{local}@another.{domain}",
    "cut-short": "{cut}",
    "lengthened": "{email}x",
    "wildcard": "%",
    "wildcard-at-the-end": "{front}%",
    "pattern": "{front}.*",
}

#: Whose refresh token comes with it, by the number of the role; else the lowest role's. A server
#: may look at the clientId of people alone, or of bots alone.
_OF_ROLE = {"of-another-domain": 1, "another-user": -2, "unknown": -1}


def client_id(case: str, caller: Caller, world: World) -> dict[str, object]:
    """The member clientId of a case, as a body has it: nothing where it is left out."""
    if NOT_THE_CLIENT[case] is ...:
        return {}
    other = world.account(world.highest).email
    return {
        "clientId": world.fill(
            NOT_THE_CLIENT[case], user=caller.user, other=other, **parts_of(caller.email)
        )
    }


@requirement("REFRESH-client")
@each("case", NOT_THE_CLIENT)
async def test_post_needs_the_users_own_client_id(case: str, world: World, judge: Judge) -> None:
    """POST with a refresh token and anything but its user's e-mail gets no token, whatever the
    user's role.
    """
    caller = await any_session(world, world.roles[_OF_ROLE.get(case, 0)])
    grant = caller.grant
    body = {"refreshToken": grant.refresh_token, **client_id(case, caller, world)}

    answer = await world.tokens.post(body, caller=str(caller), attack="REFRESH-client")

    judge.expect_no_token(answer)
    await judge.control_refresh(by_post(world, grant, caller), caller)


@requirement("REFRESH-client")
@each("likeness", AS_CLIENTS)
async def test_post_needs_no_mailbox_that_is_much_alike(
    likeness: str, world: World, judge: Judge
) -> None:
    """POST with another user's e-mail that is nearly the same gets no token."""
    one, twin = await lockable_account(world), await twin_of(world, likeness)
    caller = await another_session(world, twin)

    answer = await world.tokens.refresh_post(
        caller.grant.refresh_token, one.account.email, caller=str(caller), attack="REFRESH-client"
    )

    judge.expect_no_token(answer)
    await judge.control_refresh(by_post(world, caller.grant, caller))


@requirement("REFRESH-token-kinds")
@each("path", PATHS)
async def test_an_access_token_is_no_refresh_token(path: str, world: World, judge: Judge) -> None:
    """An access token in the refresh token's place gets no token; the refresh token does."""
    caller = await any_session(world, world.roles[0])
    grant = caller.grant

    answer = await world.tokens.refresh_by(path, grant.token, caller, attack="REFRESH-token-kinds")

    judge.expect_no_token(answer)
    await judge.control_refresh(PATHS[path](world, grant, caller), caller)


@requirement("REFRESH-token-kinds")
@each("where", ("fetch-user-self", "refresh"))
async def test_a_refresh_token_is_no_bearer(where: str, world: World, judge: Judge) -> None:
    """A refresh token in the access token's place is not let in, and refreshes nothing."""
    caller = await fresh_session(world, world.highest)
    grant = caller.grant

    if where != "refresh":
        request = await world.request(world.spec.operations[where], caller)
        impostor = Caller(caller.role, "refresh-token", grant.refresh_token, caller.user)
        answer = await world.perform(request, impostor, attack="REFRESH-token-kinds")
        judge.expect_not_let_in(answer)
    else:
        answer = await world.tokens.refresh_get(
            grant.refresh_token,
            bearer=grant.refresh_token,
            caller=str(caller),
            attack="REFRESH-token-kinds",
        )
        judge.expect_no_token(answer)
    await judge.expect_works(caller)


# --- What is only observed ---------------------------------------------------------------------


@requirement("REFRESH-old-token")
@each("path", PATHS)
async def test_the_fate_of_the_old_refresh_token(path: str, world: World, judge: Judge) -> None:
    """Whether the old refresh token still works after a refresh is noted."""
    caller = await fresh_session(world, world.roles[0])
    grant = caller.grant
    await judge.control_refresh(PATHS[path](world, grant, caller))

    again = await world.tokens.refresh_by(
        path, grant.refresh_token, caller, attack="REFRESH-old-token"
    )

    judge.note(
        f"the old refresh token is {'still good' if again.ok else f'refused ({again.status})'}"
    )
