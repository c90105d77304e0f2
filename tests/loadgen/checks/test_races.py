"""Races: every lawful history is explained, every other is not, by one policy for all.

Longer than 400 lines because it holds a model of lawful histories beside the histories.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from math import inf
from time import perf_counter
from typing import Any

import pytest

from rolecall.loadgen.checks.races import (
    LEAST_WINDOW,
    CallOutcome,
    Policies,
    Race,
    RaceCall,
    Races,
    explanations,
    outcome_of,
)
from rolecall.loadgen.checks.sessions import Path
from rolecall.loadgen.checks.violations import Violations
from rolecall.reference.server import running
from rolecall.reference.settings import Settings
from rolecall.reference.store import RefreshRow
from rolecall.reference.switches import instead_of
from tests.reference.asking import QUICK, Api, read, tell, with_api
from tests.support.token_answers import OTHER, USER

ALIVE = {"token_works": True, "refresh_token_works": True}
DEAD = {"token_works": False, "refresh_token_works": False}


def call(invoked: float, returned: float, outcome: CallOutcome, **more: Any) -> RaceCall:
    """One call."""
    return RaceCall(
        invoked, returned, outcome, **({"user": USER, **more} if outcome == "granted" else more)
    )


def win(invoked: float = 0.0, returned: float = 0.01, **more: Any) -> RaceCall:
    """A call that was granted, and whose tokens work unless it is said otherwise."""
    return call(invoked, returned, "granted", **(ALIVE | more))


def loss(invoked: float = 0.0, returned: float = 0.01) -> RaceCall:
    """A call that was refused."""
    return call(invoked, returned, "refused")


def silence(invoked: float = 0.0, returned: float = 10.0) -> RaceCall:
    """A call that was not answered in time."""
    return call(invoked, returned, "unknown")


def judged(*several: tuple[RaceCall, ...] | Race | None) -> tuple[dict[str, int], Races]:
    """The violations of races, by POST unless they say otherwise, and who judged them."""
    violations = Violations()
    judge = Races(violations)
    for history in several:
        if history is None:
            continue
        judge.judge(history if isinstance(history, Race) else Race(USER, history))
    return dict(violations.counts), judge


# --- What is legal -----------------------------------------------------------------------------

LEGAL: dict[str, tuple[RaceCall, ...]] = {
    "one-alone": (win(),),
    "one-winner": (win(), loss(), loss(), loss()),
    "one-winner-who-was-last": (loss(0.0, 0.5), loss(0.1, 0.5), win(0.4, 0.5)),
    "all-win": (win(), win(), win()),
    "one-after-the-other": (win(0.0, 0.1), win(0.2, 0.3), win(50.0, 51.0)),
    "a-grace-window": (win(0.0, 0.1), win(1.0, 1.1), loss(3.0, 3.1)),
    "a-window-in-a-slow-race": (win(0.0, 4.0), win(0.5, 4.0), loss(0.0, 4.0)),
    "the-winner-is-unknown": (silence(), loss(), loss()),
    "nobody-is-known": (silence(), silence()),
    "a-loser-is-unknown": (win(), silence(), loss()),
    "one-was-throttled": (win(), call(0.0, 0.01, "throttled"), loss()),
    "all-were-throttled": (call(0.0, 0.01, "throttled"), call(0.0, 0.01, "throttled")),
    "late-losers-end-the-family": (win(**DEAD), loss(), loss()),
    "late-losers-end-the-refresh-token": (win(refresh_token_works=False), loss()),
    "an-unknown-loser-ends-the-family": (win(**DEAD), silence()),
    "nobody-looked-at-the-refresh-token": (
        win(token_works=False, refresh_token_works=None),
        loss(),
    ),
    "nobody-looked": (win(token_works=None, refresh_token_works=None), loss()),
    "reuse-after-the-window-ends-the-family": (
        win(0.0, 0.1, **DEAD),
        win(0.5, 0.6, **DEAD),
        loss(40.0, 40.1),
    ),
    "the-later-winner-revokes-an-access-token": (win(token_works=False), win()),
    "the-later-winner-was-not-looked-at": (win(token_works=False), win(token_works=None)),
    "an-unknown-one-revokes-the-access-tokens": (
        win(token_works=False),
        win(token_works=False),
        silence(),
    ),
    "an-unknown-one-comes-after-the-window": (win(**DEAD), win(**DEAD), silence()),
}


@pytest.mark.parametrize("name", LEGAL)
def test_what_some_policy_does_is_legal(name: str) -> None:
    """A history that rotation, reuse or a grace window explains is not a violation."""
    assert judged(LEGAL[name])[0] == {}


#: Races by GET, of which a winner may have revoked the access token that the others present.
LEGAL_BY_GET: dict[str, tuple[RaceCall, ...]] = {
    "one-winner": (win(), loss(), loss()),
    "some-came-before-it-was-revoked": (win(), win(token_works=False), loss(), loss()),
    "late-ones": (win(0.0, 0.1), win(0.05, 0.2), loss(3.0, 3.1)),
}


@pytest.mark.parametrize("name", LEGAL_BY_GET)
def test_by_get_a_winner_may_revoke_the_others_access_token(name: str) -> None:
    """By GET the losers may have been refused for their access token, whatever the policy for
    refresh tokens is.
    """
    kinds, judge = judged(
        Race(USER, LEGAL_BY_GET[name], "GET"),
        Race(USER, LEGAL["all-win"]) if "one" in name else None,
    )

    assert kinds == {}
    assert judge.policies.longest == inf


def test_by_get_two_winners_are_two_where_a_refresh_token_is_good_once() -> None:
    """What a race by GET leaves open, one by POST decides: there is one policy."""
    several = (
        Race(USER, LEGAL["one-winner"]),
        Race(USER, LEGAL_BY_GET["some-came-before-it-was-revoked"], "GET"),
    )

    assert judged(*several)[0] == judged(*reversed(several))[0] == {"race-mixture": 1}


@pytest.mark.parametrize("path", ["GET", "POST"])
def test_by_either_path_somebody_wins_and_the_first_is_not_refused(path: Path) -> None:
    """No policy explains a good token that is refused before its first use. Where it is good
    afterwards, nothing is lost: that is advice; where it is not, it is a violation.
    """
    nobody = Race(USER, (loss(), loss()), path)
    assert judged(replace(nobody, is_good_after=False))[0] == {"race-without-winner": 1}
    assert judged(replace(nobody, is_good_after=True))[0] == {"race-mixture": 1}
    assert judged(nobody)[0] == {"race-mixture": 1}
    assert judged(Race(USER, (loss(0.0, 0.1), win(0.2, 0.3)), path))[0] == {"race-mixture": 1}


@pytest.mark.parametrize(
    "calls",
    [
        (loss(), loss()),
        (win(), win(), loss()),
        (win(**DEAD),),
        (win(token_works=False), loss()),
        (loss(0.0, 0.1), win(0.2, 0.3)),
    ],
    ids=["nobody", "mixture", "dead", "access-token-dead", "refused-first"],
)
def test_where_the_session_may_have_been_ended_refusals_say_nothing(
    calls: tuple[RaceCall, ...],
) -> None:
    """What the same race would be accused of otherwise, the end of the session explains; and it
    tells less of the policy.
    """
    assert judged(calls)[0] != {}
    kinds, judge = judged(
        Race(USER, calls, certain=False), LEGAL["one-winner" if len(calls) < 3 else "all-win"]
    )

    assert kinds == {}
    assert bool(judge.policies)


def test_what_was_granted_in_such_a_race_still_counts() -> None:
    """Another user's tokens are another user's, and two winners are two."""
    stranger = Race(USER, (win(user=OTHER), loss()), certain=False)
    two = Race(USER, (win(), win(), loss()), certain=False)

    assert judged(stranger)[0] == {"race-other-user": 1}
    assert judged(two, LEGAL["one-winner"])[0] == {"race-mixture": 1}


# --- What is not -------------------------------------------------------------------------------

WRONG: dict[str, tuple[tuple[RaceCall, ...], dict[str, int]]] = {
    "nobody": ((loss(), loss(), loss()), {"race-mixture": 1}),
    "nobody-before-the-unknown": ((loss(0.0, 0.1), silence(0.2, 10.0)), {"race-mixture": 1}),
    "two-of-four": ((win(), win(), loss(), loss()), {"race-mixture": 1}),
    "two-of-ten-and-no-order": (
        (win(0.0, 0.02), *[loss(0.0, 0.02)] * 8, win(0.01, 0.02)),
        {"race-mixture": 1},
    ),
    "refused-before-granted": ((loss(0.0, 0.1), win(0.2, 0.3)), {"race-mixture": 1}),
    "granted-after-the-window": (
        (win(0.0, 0.1), loss(3.0, 3.1), win(5.0, 5.1)),
        {"race-mixture": 1},
    ),
    "both-winners-dead": ((win(**DEAD), win(**DEAD)), {"race-winner-dead": 1}),
    "one-of-two-winners-dead": ((win(), win(refresh_token_works=False)), {"race-winner-dead": 1}),
    "alone-and-dead": ((win(**DEAD),), {"race-winner-dead": 1}),
    "only-the-access-token-dead": ((win(token_works=False), loss()), {"race-winner-dead": 1}),
    "a-mixture-that-ends-the-family": (
        (win(**DEAD), win(**DEAD), loss()),
        {"race-mixture": 1},
    ),
    "a-mixture-and-an-access-token-dead": (
        (win(token_works=False), win(token_works=False), loss()),
        {"race-mixture": 1, "race-winner-dead": 1},
    ),
    "another-user": ((win(), win(user=OTHER)), {"race-other-user": 1}),
    "another-user-and-of-no-use": ((win(), win(user=OTHER, **DEAD)), {"race-other-user": 1}),
    "the-only-winner-is-another-user": ((win(user=OTHER), loss()), {"race-other-user": 1}),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_no_policy_does_is_a_violation(name: str) -> None:
    """A history that no policy explains is named for what is wrong with it."""
    calls, kinds = WRONG[name]

    assert judged(calls)[0] == kinds


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("one-winner", "all-win"),
        ("one-winner", "one-after-the-other"),
        ("late-losers-end-the-family", "all-win"),
        ("a-grace-window", "one-winner"),
        ("a-grace-window", "one-after-the-other"),
    ],
)
def test_a_server_does_not_change_its_policy(first: str, second: str) -> None:
    """Two lawful races that no single policy explains are a mixture, in either order."""
    for earlier, later in ((first, second), (second, first)):
        assert judged(LEGAL[earlier], LEGAL[earlier], LEGAL[earlier])[0] == {}
        assert judged(LEGAL[earlier], LEGAL[earlier], LEGAL[later])[0] == {"race-mixture": 1}


def test_races_that_fit_several_policies_decide_nothing() -> None:
    """Races that fit several policies exclude none of them."""
    open_to_all = [
        LEGAL[name]
        for name in ("one-alone", "nobody-is-known", "one-was-throttled", "all-were-throttled")
    ]
    open_to_all[2] = open_to_all[2][:2]

    for decided in ("one-winner", "all-win"):
        kinds, judge = judged(*open_to_all, LEGAL[decided], *open_to_all)
        assert kinds == {}
        assert bool(judge.policies.single_use) is (decided == "one-winner")


def test_windows_have_to_agree() -> None:
    """A window of at least two seconds and one of at most one and a half are not one window."""
    at_least_2 = (win(0.0, 0.1), win(2.1, 2.2), loss(9.0, 9.1))
    at_most_1 = (win(0.0, 0.1), win(0.0, 0.1), loss(1.5, 1.6))

    kinds, judge = judged(at_least_2, at_most_1)

    assert kinds == {"race-mixture": 1}
    assert (judge.policies.shortest, judge.policies.longest) == (2.0, 9.1)
    assert str(judge.policies) == "a grace window of at most 9.1 s"


def test_the_history_is_shown() -> None:
    """A violation shows who was invoked and answered when, with what, and what became of it; and
    what it contradicts.
    """
    violations = Violations()
    judge = Races(violations)
    judge.judge(Race(USER, (win(5.0, 5.0123), loss(5.001, 5.02))))
    judge.judge(Race(USER, (win(7.0, 7.01), win(7.0, 7.01, user=OTHER, refresh_token_works=False))))

    samples = violations.samples + violations.advice
    shown = {sample.kind: sample.exchange for sample in samples}

    assert set(shown) == {"race-mixture", "race-other-user"}
    assert (
        f"     0.00 to     10.00  granted, tokens of user {OTHER}, access token works, refresh "
        "token is dead" in shown["race-mixture"]
    )
    assert "and before that" in shown["race-mixture"]
    assert "     1.00 to     20.00  refused" in shown["race-mixture"]


# --- An oracle ---------------------------------------------------------------------------------


def is_explained(history: Race, window: int) -> bool:
    """Whether instants can be found for a window of whole seconds (0: a single use), by trying all
    there are.
    """
    granted, refused, unknown = (
        history.having("granted"),
        history.having("refused"),
        history.having("unknown"),
    )
    if not granted and not refused:
        return True
    if window == 0 and len(granted) > 1:
        return False
    users = granted if window == 0 and granted else granted + unknown
    for first in users:
        last = first.returned if first in granted else 40
        for used in range(int(first.invoked), int(last) + 1):
            if all(
                used <= call.returned and call.invoked <= used + window for call in granted
            ) and all(call.returned >= used + window for call in refused):
                return True
    return False


def histories(count: int) -> Iterator[Race]:
    """Histories of chance, in whole seconds."""
    dice = random.Random(7)
    outcomes: list[CallOutcome] = [
        "granted",
        "granted",
        "refused",
        "refused",
        "unknown",
        "throttled",
    ]
    for _ in range(count):
        calls = []
        for _ in range(dice.randint(1, 4)):
            invoked = dice.randint(0, 12)
            calls.append(call(invoked, invoked + dice.randint(0, 6), dice.choice(outcomes)))
        yield Race(USER, tuple(calls))


def test_explanations_are_those_of_an_oracle() -> None:
    """Comparing the extremes says of thousands of histories, and of every window, what trying all
    instants says.
    """
    explained = Counter[bool]()

    for history in histories(4000):
        found = explanations(history)
        assert found.single_use == is_explained(history, 0), f"{history}"
        for window in range(1, 20):
            expected = is_explained(history, window)
            assert (found.shortest <= window <= found.longest) == expected, (
                f"window {window}: {history}"
            )
            explained[expected] += 1

    assert min(explained.values()) > 5000


# --- Outcomes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (200, "granted"),
        (201, "granted"),
        (400, "refused"),
        (401, "refused"),
        (403, "refused"),
        (409, "refused"),
        (302, "refused"),
        (429, "throttled"),
        (423, "throttled"),
        (408, "unknown"),
        (500, "unknown"),
        (503, "unknown"),
        (None, "unknown"),
    ],
)
def test_what_a_status_says(status: int | None, outcome: str) -> None:
    """Only an answer of the policy is an outcome: not one of an overloaded server, and none at all
    may be anything.
    """
    assert outcome_of(status) == outcome


# --- Workers -----------------------------------------------------------------------------------


def test_workers_that_agree() -> None:
    """The master knows the races of all workers and the policies that are left."""
    workers, master = [judged(LEGAL["one-winner"])[1], judged(LEGAL["one-alone"])[1]], judged()[1]

    for worker in workers:
        master.merge(worker.take())
        master.merge(worker.take())

    assert master.races == {1: 2}
    assert str(master.policies) == "one winner"


def test_workers_that_contradict_each_other() -> None:
    """Two workers that saw two policies are one mixture, told once, with a race of each."""
    violations = Violations()
    master = Races(violations)
    workers = [judged(LEGAL["one-winner"])[1], judged(LEGAL["all-win"])[1]]

    for _ in range(3):
        for worker in workers:
            master.merge(worker.take())

    assert violations.counts == {"race-mixture": 1}
    assert violations.advice[0].exchange.count("with one token of user") == 2


def test_policies_have_names() -> None:
    """What is left of the policies is said in words."""
    assert str(Policies()) == "one winner or all win"
    assert str(Policies(single_use=True, longest=0.0)) == "one winner"
    assert str(Policies(single_use=False)) == "all win"
    assert str(Policies(single_use=False, longest=0.0)) == "no policy"
    assert LEAST_WINDOW == 1.0
    assert Policies().longest == inf


# --- Real servers ------------------------------------------------------------------------------


async def race(api: Api, account: str, racers: int) -> Race:
    """So many refreshes with one token at once, and afterwards a look at what the winners were
    given.
    """
    credentials = api.server.accounts[account]
    issued = read(await api.login(account))

    async def one() -> tuple[RaceCall, dict[str, Any]]:
        invoked = perf_counter()
        answer = await api.post_refresh(issued["refreshToken"], credentials.email)
        given = read(answer) if answer.is_success else {}
        return RaceCall(
            invoked, perf_counter(), outcome_of(answer.status_code), given.get("user", "")
        ), given

    raced = await asyncio.gather(*(one() for _ in range(racers)))
    winners = [given for _, given in raced if given]
    emails = {account.id: account.email for account in api.server.accounts.values()}
    token_works = {
        given["token"]: (
            await api.ask("GET", f"/v2/users/{given['user']}", given["token"])
        ).is_success
        for given in winners
    }
    owners = {given["refreshToken"]: emails[given["user"]] for given in winners}
    refresh_works = {
        token: (await api.post_refresh(token, email)).is_success for token, email in owners.items()
    }
    return Race(
        issued["user"],
        tuple(
            replace(
                racer,
                token_works=token_works.get(given.get("token", "")),
                refresh_token_works=refresh_works.get(given.get("refreshToken", "")),
            )
            for racer, given in raced
        ),
    )


async def races(api: Api, racers: int = 4) -> tuple[dict[str, int], Races]:
    """Ten races, two users' at a time."""
    violations = Violations()
    judge = Races(violations)
    for _ in range(5):
        for history in await asyncio.gather(race(api, "bot", racers), race(api, "agent", racers)):
            judge.judge(history)
    return dict(violations.counts), judge


@pytest.mark.parametrize(
    ("variant", "policy", "winners"),
    [
        ("refresh-tokens-rotate", "one winner", 1),
        ("refresh-reuse-ends-family", "one winner", 1),
        ("opaque-refresh-tokens", "one winner", 1),
        ("jwt-refresh-tokens", "one winner", 1),
        ("latency-50ms", "one winner", 1),
        ("refresh-tokens-stay", "all win", 4),
        ("refresh-tokens-reusable", "all win", 4),
        ("refresh-grace-window", "all win", 4),
        ("no-jti", "one winner", 1),
    ],
)
def test_legal_servers_are_known_by_their_policy(variant: str, policy: str, winners: int) -> None:
    """Under real concurrency every legal server is innocent, and its policy is told."""
    with running(Settings(scrypt_n=QUICK, variants=(variant,))) as one:
        kinds, judge = tell(one.server, races, base_url=one.base_url, timeout=10)

    assert kinds == {}
    assert str(judge.policies) == policy
    assert judge.races == {winners: 10}


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("race-kills-both-winners", "race-winner-dead"),
        ("race-gives-another-users-token", "race-other-user"),
    ],
)
def test_faults_of_races_are_seen(fault: str, kind: str) -> None:
    """Both faults that only a race shows are found under real concurrency, under their names."""
    with running(Settings(scrypt_n=QUICK, faults=(fault,))) as one:
        kinds, _ = tell(one.server, races, base_url=one.base_url, timeout=10)

    assert kind in kinds
    assert set(kinds) <= {kind, "race-mixture"}


def test_a_check_that_is_not_atomic_is_a_mixture() -> None:
    """A server that notes a use too late lets two of four refreshes win: a mixture."""

    async def story(api: Api) -> dict[str, int]:
        looks = itertools.count(1)

        @instead_of(api.server.refresh.usable)
        def noted_late(row: RefreshRow) -> bool:
            return next(looks) <= 2

        token = read(await api.login("bot"))["refreshToken"]

        async def one() -> RaceCall:
            invoked = perf_counter()
            answer = await api.post_refresh(token, api.server.accounts["bot"].email)
            return RaceCall(invoked, perf_counter(), outcome_of(answer.status_code))

        return judged(tuple(await asyncio.gather(*(one() for _ in range(4)))))[0]

    assert with_api(Settings(scrypt_n=QUICK), story) == {"race-mixture": 1}
