"""What an attack on the token endpoint may get at most, in memory."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rolecall.evidence import Evidence, Exchange
from rolecall.outcomes import Finding, TransientFailure
from rolecall.spec.claims import LIFETIME_TOLERANCE
from rolecall.tokens import Grant
from rolecall.toolkit.expectations import (
    expect_no_crash,
    expect_no_grant,
    expect_no_more_than,
    expect_one_or_all,
    lifetime,
    outlives,
)
from tests.support.exchanges import exchange
from tests.support.token_answers import DAY, OTHER, USER, claims, document, jwt


def answer(status: int = 200, body: Any = None) -> Exchange:
    """An answer of the token endpoint."""
    return exchange("POST", status=status, body=b"" if body is None else json.dumps(body).encode())


def granted(of: dict[str, Any] | None = None, **members: Any) -> Exchange:
    """A good token answer, but for the claims ``of``, and members."""
    return answer(200, document(of=claims(**(of or {})), **members))


WORTH = Grant.of(granted())


@pytest.mark.parametrize("status", [200, 302, 401, 404, 501])
def test_what_is_no_crash(status: int) -> None:
    """Any answer will do but a server error; 501 is an honest one, and each is the test's
    evidence.
    """
    with Evidence.collect() as evidence:
        expect_no_crash(said := answer(status))

    assert evidence.named == {"answer": said}


@pytest.mark.parametrize("status", [500, 502, 505])
@pytest.mark.parametrize(
    "expect", [expect_no_crash, expect_no_grant, lambda said: expect_no_more_than(WORTH, said)]
)
def test_a_crash_is_a_finding(status: int, expect: Any) -> None:
    """A server error is none of the answers that an attack may get, whatever it is asked for."""
    with pytest.raises(Finding) as found:
        expect(said := answer(status))

    assert (found.value.expected, found.value.actual) == (
        "an answer other than a server error",
        f"{status}",
    )
    assert found.value.exchange is said


@pytest.mark.parametrize(
    "body", [None, {}, [], {"token": ""}, {"token": 7}, {"message": "no"}, {"refreshToken": None}]
)
def test_what_is_no_grant(body: Any) -> None:
    """A refusal or a success with no token in it grants nothing."""
    expect_no_grant(answer(200, body))
    expect_no_grant(answer(400, body))


@pytest.mark.parametrize("body", [{"token": "t"}, {"refreshToken": "r"}, document()])
@pytest.mark.parametrize("status", [200, 400])
def test_a_token_is_a_grant_whatever_the_status(body: Any, status: int) -> None:
    """A token, or a refresh token, is granted also by an answer that calls itself a refusal."""
    with pytest.raises(Finding) as found:
        expect_no_grant(answer(status, body))

    assert (found.value.expected, found.value.actual) == ("no token", f"{status} with a token")


# --- At most what the credentials are worth ----------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        answer(401),
        answer(400, {"message": "no"}),
        granted(),
        granted({"exp": 1_700_000_000 + 60}),
        granted({"exp": 1_700_000_000 + DAY + LIFETIME_TOLERANCE}),
    ],
    ids=["refused", "refused-with-a-body", "the-same", "for-a-minute", "rounded-up"],
)
def test_what_credentials_are_worth(said: Exchange) -> None:
    """A refusal is right, and a token of the same user and scope that lives no longer; what it is
    held against is evidence.
    """
    with Evidence.collect() as evidence:
        expect_no_more_than(WORTH, said)

    assert evidence.named == {"answer": said, "control": WORTH.exchange}


@pytest.mark.parametrize(
    ("said", "expected", "actual"),
    [
        (answer(200, {}), "a refusal, or a token", "200 with neither"),
        (answer(302), "a refusal, or a token", "302 with neither"),
        (
            granted(user=OTHER),
            f"a refusal, or a token with user {USER!r}",
            f"a token with user {OTHER!r}",
        ),
        (
            granted({"_id": OTHER}),
            f"a refusal, or a token with user in its claims {USER!r}",
            f"a token with user in its claims {OTHER!r}",
        ),
        (
            granted(scope="admin"),
            "a refusal, or a token with scope 'agent'",
            "a token with scope 'admin'",
        ),
        (
            granted({"scope": "admin"}),
            "a refusal, or a token with scope in its claims 'agent'",
            "a token with scope in its claims 'admin'",
        ),
        (
            granted({"scope": ...}),
            "a refusal, or a token with scope in its claims 'agent'",
            "a token with scope in its claims None",
        ),
        (
            granted({"exp": 1_700_000_000 + DAY + LIFETIME_TOLERANCE + 1}),
            "a refusal, or a token that lives 86400 s",
            "86461 s",
        ),
        (granted({"exp": ...}), "a refusal, or a token that lives 86400 s", "it has no end"),
    ],
    ids=[
        "neither",
        "redirect",
        "user",
        "user-claim",
        "scope",
        "scope-claim",
        "no-scope-claim",
        "lifetime",
        "no-end",
    ],
)
def test_what_is_more_than_credentials_are_worth(
    said: Exchange, expected: str, actual: str
) -> None:
    """Neither refusal nor token, another user, another scope, or a longer life is a finding that
    names both values.
    """
    with pytest.raises(Finding) as found:
        expect_no_more_than(WORTH, said)

    assert (found.value.expected, found.value.actual, found.value.exchange) == (
        expected,
        actual,
        said,
    )


def test_a_usual_lifetime_counts_in_the_place_of_the_worths() -> None:
    """Where tokens of a kind live longer anyway, that is the measure, and no longer."""
    month = Grant.of(granted({"exp": 1_700_000_000 + 30 * DAY}))

    expect_no_more_than(WORTH, granted({"exp": 1_700_000_000 + 30 * DAY}), usual=month)
    with pytest.raises(Finding) as found:
        expect_no_more_than(WORTH, granted({"exp": 1_700_000_000 + 31 * DAY}), usual=month)
    assert (found.value.expected, found.value.actual) == (
        "a refusal, or a token that lives 2592000 s",
        "2678400 s",
    )


def test_a_token_without_an_end_outlives_all_but_its_like() -> None:
    """A token that does not say when it ends is taken to live for ever."""
    endless = Grant.of(answer(200, {"token": jwt(claims(exp=...))}))

    assert lifetime(endless) == float("inf")
    assert outlives(endless, WORTH)
    assert not outlives(WORTH, endless)
    assert not outlives(endless, endless)


# --- One or all --------------------------------------------------------------------------------


def refreshed(good: int, attempts: int) -> list[Exchange]:
    """The answers to ten refreshes at once, some of them good, after so many attempts each."""
    return [
        exchange("POST", status=200 if number < good else 400, attempts=attempts)
        for number in range(10)
    ]


@pytest.mark.parametrize(("good", "attempts"), [(1, 1), (10, 1), (1, 2), (10, 2)])
def test_one_refresh_or_all(good: int, attempts: int) -> None:
    """One good answer of ten, or ten, is as it should be."""
    expect_one_or_all(refreshed(good, attempts))


@pytest.mark.parametrize("good", [0, 2, 5, 9])
def test_some_refreshes(good: int) -> None:
    """Some good answers that came at once are a finding; when some were asked to wait they did not
    come at once.
    """
    with pytest.raises(Finding) as found:
        expect_one_or_all(refreshed(good, 1))
    assert (found.value.expected, found.value.actual) == ("one good answer, or all 10", f"{good}")

    with pytest.raises(TransientFailure) as trouble:
        expect_one_or_all(refreshed(good, 2))
    assert (
        trouble.value.missing == "10 refreshes at once: the target asked for some of them to wait"
    )
    assert trouble.value.look_at == "the target's rate limit"
