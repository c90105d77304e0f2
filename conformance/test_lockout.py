"""Guessing of passwords and refresh tokens is slowed down (opt-in, on users made for it)."""

from __future__ import annotations

import math
import secrets
import string
from collections.abc import Awaitable, Callable
from statistics import median

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, NotTested
from rolecall.spec.model import INTRUSIVE
from rolecall.tokens import TOKEN_PATH
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import ALONE, requirement
from rolecall.toolkit.throwaway_users import throwaway_user
from rolecall.toolkit.world import World

#: One more than anybody may fail in a row at most (NIST SP 800-63B 5.2.2); who has had enough
#: before says so before.
_GUESSES = 101
_WRONG = "rolecall-is-not-this"
_SLOW = 3  # answers in a row: a single one may be late for any reason
#: Answers that say "not now": too many requests, or a user that is locked (RFC 6585 4, RFC 4918
#: 11.3).
_ENOUGH = (429, 423)

#: Timing: how many pairs, how often all of it is repeated, and what counts as a difference.
_PAIRS, _WARM_UP, _ROUNDS = 50, 5, 2
_GAP = 0.02  # seconds
_UNLIKELY = 0.001


def opted_in(world: World, why: str) -> None:
    """Go on only with ``--intrusive``."""
    if not world.intrusive:
        raise NotTested(f"{why}: run with --intrusive", INTRUSIVE)


async def ask(world: World, body: dict[str, str], attack: str) -> Exchange:
    """Post a guess; whatever comes is the answer, and nothing is waited out."""
    return await world.client.send("POST", TOKEN_PATH, json=body, attack=attack, patient=False)


# --- Time --------------------------------------------------------------------------------------


def likelihood(first: list[float], second: list[float]) -> float:
    """How likely two samples differ so much in rank by chance (Mann-Whitney, normal approximation,
    two-sided).
    """
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    ranks = sum(rank for rank, (_, which) in enumerate(ranked, 1) if which == 0)
    count, other = len(first), len(second)
    surplus = ranks - count * (count + other + 1) / 2
    deviation = math.sqrt(count * other * (count + other + 1) / 12)
    return math.erfc(abs(surplus) / deviation / math.sqrt(2))


@requirement("SEC-I04", phase=ALONE)
async def test_an_unknown_email_takes_as_long_as_a_wrong_password(
    world: World, judge: Judge
) -> None:
    """The time to a refusal does not tell whether the e-mail is known."""
    opted_in(world, f"{_PAIRS} wrong passwords for each of {_ROUNDS} users")
    gaps = []
    # with others each time: a server may well have enough of so many guesses at one user
    for turn in range(_ROUNDS):
        known = (await throwaway_user(world, world.roles[0])).account.email
        unknown = f"rolecall.nobody.{turn}.{world.run_id}@{world.target.email_domain}"
        times: dict[str, list[float]] = {known: [], unknown: []}
        for number in range(_WARM_UP + _PAIRS):
            for email in (known, unknown) if number % 2 else (unknown, known):
                answer = await ask(world, {"email": email, "password": _WRONG}, "SEC-I04")
                if answer.status in _ENOUGH:
                    raise NotTested(
                        "the time of refusals: the target throttles before enough of them are seen"
                    )
                if number >= _WARM_UP:
                    times[email].append(answer.finished - answer.started)
        judge.cite(answer)
        gap = median(times[known]) - median(times[unknown])
        gaps.append(
            gap if likelihood(times[known], times[unknown]) < _UNLIKELY and abs(gap) > _GAP else 0.0
        )

    if all(gap > 0 for gap in gaps) or all(gap < 0 for gap in gaps):
        later = "later" if gaps[0] > 0 else "earlier"
        milliseconds = f"{abs(gaps[0]) * 1000:.0f} ms and {abs(gaps[1]) * 1000:.0f} ms"
        raise Finding(
            "refusals in the same time",
            f"those of a known e-mail come {milliseconds} {later}",
            answer,
        )


# --- Patience ----------------------------------------------------------------------------------


async def guess(attempt: Callable[[], Awaitable[Exchange]]) -> tuple[int, Exchange, bool]:
    """Guess until the server has had enough; how often that was, the last answer, and whether it
    had.
    """
    first = await attempt()
    patience = max(0.5, 3 * (first.finished - first.started))
    slow = 0
    for number in range(2, _GUESSES + 1):
        answer = await attempt()
        slow = slow + 1 if answer.finished - answer.started > patience else 0
        said = answer.status in _ENOUGH or bool(answer.header("retry-after"))
        if said or slow == _SLOW or answer.status != first.status:
            return number, answer, True
    return _GUESSES, answer, False


@requirement("SEC-I05", phase=ALONE)
async def test_wrong_passwords_are_counted(world: World, judge: Judge) -> None:
    """After a hundred wrong passwords a user is locked, delayed or throttled, and no other is."""
    opted_in(world, f"{_GUESSES} wrong passwords for one user")
    user = await throwaway_user(world, world.roles[0])
    right = {"email": user.account.email, "password": user.account.password}

    times, last, noticed = await guess(lambda: ask(world, right | {"password": _WRONG}, "SEC-I05"))
    login = await ask(world, right, "SEC-I05")

    other = world.account(world.roles[1])
    control = cite(
        await ask(world, {"email": other.email, "password": other.password}, ""), "control"
    )
    if not control.ok and control.status not in _ENOUGH:
        raise Finding("another user's log-in as ever", f"{control.status}", control)
    judge.note(
        f"{times} wrong passwords; Retry-After: "
        f"{last.header('retry-after') or login.header('retry-after') or 'none'}"
    )
    if not noticed and login.ok:
        raise Finding(f"a lock, a delay or 429 after {times} wrong passwords", "none of them", last)


def of_the_same_form(token: str) -> str:
    """A refresh token of chance that looks like an issued one."""
    front, dot, secret = token.rpartition(".")
    is_hex = not secret.strip(string.hexdigits)
    letters = "0123456789abcdef" if is_hex else string.ascii_letters + string.digits
    return (
        front
        + dot
        + "".join(secrets.choice(letters) if letter.isalnum() else letter for letter in secret)
    )


@requirement("SEC-R21", phase=ALONE)
async def test_wrong_refresh_tokens_are_counted(world: World) -> None:
    """After a hundred refresh tokens of chance in a row there is a delay or 429."""
    opted_in(world, f"{_GUESSES} wrong refresh tokens for one user")
    caller = (await throwaway_user(world, world.roles[0])).caller
    refresh_token = caller.grant.refresh_token

    async def attempt() -> Exchange:
        body = {"refreshToken": of_the_same_form(refresh_token), "clientId": caller.email}
        return await ask(world, body, "SEC-R21")

    times, last, noticed = await guess(attempt)

    if not noticed:
        raise Finding(f"a delay or 429 after {times} wrong refresh tokens", "neither", last)
