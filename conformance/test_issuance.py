"""Issuance: the right e-mail and password get the user's own token; wrong ones get none."""

from __future__ import annotations

from typing import Any

from rolecall.evidence import cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested
from rolecall.spec.claims import numeric_date
from rolecall.spec.ids import id_text
from rolecall.spec.model import SECOND_USER
from rolecall.spec.templates import made_up_password
from rolecall.target import Account
from rolecall.tokens import Grant, claims_of, header_of, user_of
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import each, requirement, roles
from rolecall.toolkit.neighbours import parts_of
from rolecall.toolkit.things import shows_id
from rolecall.toolkit.throwaway_users import (
    ThrowawayUser,
    attackable,
    lockable_account,
    make_user,
    throwaway_admin,
    throwaway_user,
)
from rolecall.toolkit.world import World
from rolecall.wording import first_few


@requirement("ISSUE-status")
@roles()
async def test_a_token_is_issued(role: str, world: World, judge: Judge) -> None:
    """A user's e-mail and password are answered 200 OK."""
    answer = await world.first_answer(role)

    judge.expect_issued(answer, world.dialect.issued, f"[accounts.{role}] in the target file")


@requirement("ISSUE-fields")
@roles()
async def test_the_answer_has_every_field(role: str, world: World, judge: Judge) -> None:
    """The answer holds tokenType "Bearer", token, refreshToken, user and scope."""
    answer = cite(await world.first_answer(role))

    if not answer.ok:
        raise Inconclusive(f"an answer to good credentials: {answer}", "ISSUE-status")
    judge.expect_token_answer(answer)


@requirement("ISSUE-jwt")
@roles()
async def test_the_token_is_a_signed_jwt(role: str, world: World) -> None:
    """The token is a signed JWT with the user's id, and iat and exp in seconds."""
    grant = (await world.user(role)).grant
    cite(grant.exchange)

    header, claims = header_of(grant.token), claims_of(grant.token)
    if not claims:
        raise Finding(
            "a JWT (three base64url parts, JSON inside)",
            "a token that is not a JWT",
            grant.exchange,
        )
    if str(header.get("alg", "none")).lower() == "none" or not grant.token.rsplit(".", 1)[1]:
        raise Finding("a signed JWT", f"alg {header.get('alg')!r}", grant.exchange)
    if not user_of(claims):
        raise Finding(
            "a claim _id with the user's id, as in the page's example token",
            _where_else(claims, grant.user),
            grant.exchange,
        )
    for claim in ("iat", "exp"):
        if type(claims.get(claim)) is not int and numeric_date(claims, claim) is None:
            raise Finding(
                f"a claim {claim} that is a number of seconds, whole or not (RFC 7519 2)",
                f"{claims.get(claim)!r}" if claim in claims else f"no {claim}",
                grant.exchange,
            )


def _where_else(claims: dict[str, Any], user: str) -> str:
    """What a token has in place of the claim _id, in words."""
    if "_id" in claims:
        return f"_id is {claims['_id']!r}"
    others = [name for name, value in claims.items() if user and id_text(value) == user]
    return (
        f"no _id; the user's id is in {first_few(sorted(others), 3)}"
        if others
        else "no claim has it"
    )


@requirement("ISSUE-lifetime")
@roles()
async def test_a_token_lives_24_hours(role: str, world: World, judge: Judge) -> None:
    """The time from iat to exp is the lifetime that the specification gives."""
    grant = (await world.user(role)).grant
    cite(grant.exchange)

    judge.expect_lifetime(grant)


@requirement("ISSUE-scope")
@roles()
async def test_the_scope_is_the_users_role(role: str, world: World) -> None:
    """The answer's scope and the JWT's are the user's role, alone or with the lower roles."""
    grant = (await world.user(role)).grant
    cite(grant.exchange)

    for where, scope in grant.scopes.items():  # a claim that is not text is SCOPE-string's matter
        if isinstance(scope, str) and world.role_of_scope(scope) != role:
            raise Finding(f"scope {role} in {where}", f"{scope!r}", grant.exchange)


@requirement("SCOPE-string")
@roles()
async def test_the_scope_is_a_space_delimited_string(role: str, world: World) -> None:
    """The JWT's scope is known names with single spaces between them, none of them twice."""
    grant = (await world.user(role)).grant
    cite(grant.exchange)
    scope = grant.claims.get("scope")
    if not isinstance(scope, str):
        raise Finding("a scope that is one string", f"{type(scope).__name__}", grant.exchange)

    names = scope.split(" ")

    unknown = [name for name in names if name not in (*world.roles, *world.dialect.other_scopes)]
    if unknown:
        raise Finding(
            f"names out of {', '.join(world.roles)}, with single spaces between them",
            f"{scope!r}",
            grant.exchange,
        )
    if len(set(names)) != len(names):
        raise Finding("every scope once", f"{scope!r}", grant.exchange)


@requirement("ISSUE-user")
@roles()
async def test_the_user_is_the_one_in_the_jwt(role: str, world: World) -> None:
    """The answer's user is the user whom the JWT names."""
    grant = (await world.user(role)).grant
    cite(grant.exchange)
    if not user_of(grant.claims):
        raise Inconclusive("the user's id in the token", "ISSUE-jwt")

    if grant.user != user_of(grant.claims):
        raise Finding(
            f"user {user_of(grant.claims)}, as in the JWT", f"{grant.user!r}", grant.exchange
        )


@requirement("ISSUE-identity")
@roles()
async def test_the_token_acts_as_its_user(role: str, world: World, judge: Judge) -> None:
    """A request with the new token is made as the user who asked for it."""
    caller = await world.user(role)

    await judge.expect_works(caller)


@requirement("ISSUE-identity")
async def test_users_of_one_role_are_told_apart(world: World, judge: Judge) -> None:
    """The token of another user of the same role acts as that other user."""
    others = [name for name in world.target.accounts if name not in world.roles]
    if not others:
        raise NotTested(
            "one user per role: give a second one, such as [accounts.guest2], in the target file",
            SECOND_USER,
        )
    for name in others:
        first, other = await world.user(world.account(name).role), await world.user(name)
        await judge.expect_works(first)

        answer = await world.fetch_self(other)

        if not answer.ok or not shows_id(answer, other.user):
            raise Finding(f"user {other.user}", f"{answer.status}: not as that user", answer)


SPACES = "password-with-spaces-around"
OTHERS = "password-of-another-user"
#: What is sent with the bearer of a user of the highest role, who may do all but this.
BEARER = "no-password"
#: Wrong pairs of credentials; "{email}" and "{password}" are the right ones, "{others}" is the
#: password of a user of the highest role.
NO_CREDENTIALS: dict[str, dict[str, Any]] = {
    "wrong-password": {"email": "{email}", "password": "rolecall-is-not-this"},
    OTHERS: {"email": "{email}", "password": "{others}"},
    "password-in-other-case": {"email": "{email}", "password": "{swapped}"},
    "password-cut-short": {"email": "{email}", "password": "{shortened}"},
    "unknown-email": {"email": "nobody-{run}@{domain}", "password": "{password}"},
    SPACES: {"email": "{email}", "password": " {password} "},
    "password-lengthened": {"email": "{email}", "password": "{password}x"},
    "password-of-wildcards": {"email": "{email}", "password": "%"},
    "email-cut-short": {"email": "{cut}", "password": "{password}"},
    "email-cut-in-front": {"email": "{tail}", "password": "{password}"},
    "email-lengthened": {"email": "{email}x", "password": "{password}"},
    "email-without-domain": {"email": "{local}", "password": "{password}"},
    "email-of-another-domain": {"email": "{local}@another.{domain}", "password": "{password}"},
    "email-with-a-wildcard": {"email": "{front}%", "password": "{password}"},
    "email-with-a-pattern": {"email": "{front}.*", "password": "{password}"},
    "empty-password": {"email": "{email}", "password": ""},
    "empty-email": {"email": "", "password": "{password}"},
    BEARER: {"email": "{email}", "otp": "000000"},
    "no-email": {"password": "{password}"},
    "empty-object": {},
    "password-true": {"email": "{email}", "password": True},
    "password-null": {"email": "{email}", "password": None},
    "password-number": {"email": "{email}", "password": 0},
    "password-array": {"email": "{email}", "password": ["{password}"]},
    "password-object": {"email": "{email}", "password": {"value": "{password}"}},
    "email-true": {"email": True, "password": "{password}"},
    "email-null": {"email": None, "password": "{password}"},
    "email-number": {"email": 0, "password": "{password}"},
    "email-array": {"email": ["{email}"], "password": "{password}"},
    "email-object": {"email": {"value": "{email}"}, "password": "{password}"},
}


def credentials(account: Account) -> dict[str, str]:
    """The values for `NO_CREDENTIALS`: the right e-mail and password, and near misses of both."""
    password = account.password
    near = {"swapped": password.swapcase(), "shortened": password[:-1]}
    return {**parts_of(account.email), "password": password, **near}


#: Characters of a password: some servers look at the first 72 bytes alone (bcrypt), others at the
#: first 64, 128 or 255.
LONG = (260, 130, 80)


async def user_with_long_password(world: World) -> ThrowawayUser:
    """A user with the longest password that the target takes.

    Raises:
        NotApplicable: it takes none that is longer than the beginning at which some servers stop to
            look.
    """
    await lockable_account(world)  # says what is missing where no user can be made at all
    for length in LONG:
        password = "".join(made_up_password() for _ in range(length // 20 + 1))[:length]
        try:
            return await throwaway_user(world, world.roles[0], password=password)
        except NotTested as reason:
            refusal = str(reason)
    raise NotApplicable(f"the target takes no password of {LONG[-1]} characters: {refusal}")


@requirement("ISSUE-refused")
async def test_all_of_a_long_password_counts(world: World, judge: Judge) -> None:
    """A long password that differs in its last character gets no token; the right one does."""
    user = await user_with_long_password(world)
    right = user.account.password
    wrong = right[:-1] + ("a" if right[-1] != "a" else "b")

    answer = await world.tokens.post(
        {"email": user.account.email, "password": wrong}, caller="nobody", attack="ISSUE-refused"
    )

    judge.note(f"the password is another one in its last character, the {len(right)}th")
    judge.expect_no_token(answer, user.caller.grant.exchange)


@requirement("ISSUE-refused")
async def test_a_password_does_not_end_at_a_nul(world: World) -> None:
    """The right password followed by NUL and more gets no token (CWE-626)."""
    account = (await attackable(world)).account

    answer = await world.tokens.post(
        {"email": account.email, "password": f"{account.password}\0x"},
        caller="nobody",
        attack="ISSUE-refused",
    )

    cite(answer, "answer")
    if Grant.of(answer).token:
        raise Finding("no token", f"{answer.status} with a token", answer)


@requirement("ISSUE-refused")
@each("case", NO_CREDENTIALS)
async def test_bad_credentials_get_no_token(case: str, world: World, judge: Judge) -> None:
    """Wrong, empty, missing and mistyped credentials get no token; the right ones do."""
    pair = NO_CREDENTIALS[case]
    others = (await throwaway_admin(world)).password if case == OTHERS else ""
    user = await attackable(
        world, guesses=pair.get("email") == "{email}" and isinstance(pair.get("password"), str)
    )
    account, control = user.account, user.caller.grant
    body = world.fill(pair, **credentials(account), others=others)
    if body == {"email": account.email, "password": account.password}:
        cite(control.exchange)
        raise NotApplicable(
            f"{case.replace('-', ' ')}: of this account's password that is the password itself"
        )

    bearer = (await world.user(world.highest)).token if case == BEARER else ""
    answer = await world.tokens.post(body, caller="nobody", attack="ISSUE-refused", token=bearer)

    if case == SPACES and Grant.of(answer).token and await spaces_are_never_of_a_password(world):
        cite(answer, "answer")
        raise NotApplicable("white space around a password is no part of it: nor where it is set")
    judge.expect_no_token(answer, control.exchange)


async def spaces_are_never_of_a_password(world: World) -> bool:
    """Whether a user who is made with white space around the password logs in without it, as where
    every text of a body is trimmed.
    """
    password = made_up_password()
    request, made, user = await make_user(world, role=world.roles[0], password=f" {password} ")
    email = request.body.get("email")
    if user is None or not isinstance(email, str):
        return False
    account = Account(world.roles[0], world.roles[0], email, password)
    answer = await world.new_users.log_in(lambda: world.tokens.issue(account), made.finished)
    return bool(Grant.of(answer).token)
