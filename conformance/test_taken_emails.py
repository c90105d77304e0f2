"""E-mails of others: who writes one of them into the own user learns and gains nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rolecall.evidence import Exchange, cite
from rolecall.outcomes import Finding, Inconclusive
from rolecall.spec.ids import own_id
from rolecall.tokens import Grant, user_of
from rolecall.toolkit.controls import unless_open
from rolecall.toolkit.expectations import expect_no_crash, expect_no_more_than, expect_refused
from rolecall.toolkit.insides import objects, substance
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.marks import requirement
from rolecall.toolkit.neighbours import twin_of
from rolecall.toolkit.shared import shared_setup
from rolecall.toolkit.throwaway_users import ThrowawayUser
from rolecall.toolkit.world import World


@dataclass(frozen=True)
class Claim:
    """A user who wrote the e-mail of another one into itself, as it is and in capitals, and what
    it was answered; both have the same password.
    """

    user: ThrowawayUser
    victim: ThrowawayUser
    exact: Exchange
    capitals: Exchange


@shared_setup
async def claimed(world: World) -> Claim:
    """Two users of the lowest role, one of whom claims the other's e-mail.

    Raises:
        NotTested: the target makes no such users.
    """
    victim, user = await twin_of(world, "longer"), await twin_of(world, "with-a-dot")
    plain = await world.request(world.spec.operations["update-user-self"], user.caller)
    email = victim.account.email
    answers = [
        await world.perform(
            replace(plain, body={**plain.body, "email": claim}), user.caller, attack="SEC-A05"
        )
        for claim in (email, email.upper())
    ]
    return Claim(user, victim, *answers)


def told_of(victim: ThrowawayUser, answer: Exchange) -> str:
    """What an answer tells of a user besides its e-mail, which was sent, and a mention of it."""
    for shown in objects(answer.json):
        told = [name for name in (*substance(shown), "role") if name in shown and name != "email"]
        if own_id(shown) == victim.fixture.id and told:
            return ", ".join(dict.fromkeys(told))
    email, name = victim.account.email.lower(), victim.fixture.name
    return "its name" if name and name in answer.text.lower().replace(email, "") else ""


@requirement("SEC-A05")
async def test_a_taken_email_does_not_show_whose_it_is(world: World, judge: Judge) -> None:
    """The answer to an update of oneself with another user's e-mail shows nothing of that user, and
    that user is not to be fetched afterwards.
    """
    claim = await claimed(world)
    for answer in (claim.exact, claim.capitals):
        expect_no_crash(answer)
        if told := told_of(claim.victim, answer):
            raise Finding(
                f"an answer that shows nothing of {claim.victim.fixture}",
                f"{answer.status} with {told}",
                answer,
            )
    fetch, caller = world.spec.operations["fetch-user"], claim.user.caller
    request = await world.request(fetch, caller, claim.victim.fixture)
    async with unless_open(world, judge, fetch.name, caller):
        expect_refused(await world.perform(request, caller, attack="SEC-A05"), claim.victim.fixture)


@requirement("SEC-I11-other-user")
async def test_a_claimed_email_is_still_its_owners(world: World) -> None:
    """Who wrote another user's e-mail into itself, in whichever letters, is not logged in by it."""
    claim = await claimed(world)
    cite(claim.capitals, "claim")

    login = await world.tokens.issue(claim.victim.account)

    expect_no_more_than(claim.victim.caller.grant, login)
    if not Grant.of(login).token:
        raise Inconclusive(f"a log-in of whom the e-mail was given to: {login}", "ISSUE-status")
    email = claim.capitals.document.get("email")
    if claim.capitals.ok and email == claim.victim.account.email.upper():
        account = replace(claim.user.account, email=email)
        as_stored = await world.tokens.issue(account)
        grant, own = Grant.of(as_stored), claim.user.caller.user
        if own in (grant.user, user_of(grant.claims)) and (
            world.role_of_scope(grant.claims.get("scope")) != claim.user.account.role
        ):
            raise Inconclusive(
                f"the scope of {claim.user.fixture} as it was before the update", "SEC-A06"
            )
        if grant.token:
            expect_no_more_than(claim.user.caller.grant, as_stored)
