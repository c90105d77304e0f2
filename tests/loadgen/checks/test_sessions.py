"""Histories of log-ins, refreshes and races in which a refusal is lawful, and is not.

In memory and without a clock: a history is the order of sendings and answers.

Longer than 400 lines because every way in which a session may end has a test.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rolecall.loadgen.accounts import LoadAccount
from rolecall.loadgen.checks import sessions
from rolecall.loadgen.checks.invariants import Invariants
from rolecall.loadgen.checks.sessions import LATE, LoginSession, Path, SessionGrant
from tests.support.token_answers import (
    ADA,
    BEA,
    LOGIN,
    OTHER,
    answer,
    claims,
    document,
    found,
    looking,
)

OK, NO = answer, answer({}, 401)


def log_in(
    invariants: Invariants, account: LoadAccount = ADA, session: LoginSession | None = None
) -> SessionGrant:
    """A log-in that is answered, and was sent just now unless it was before."""
    grant = invariants.logged_in(session or invariants.log_in(account), OK(), LOGIN)
    assert grant is not None
    return grant


def refreshed(invariants: Invariants, grant: SessionGrant, path: Path = "POST") -> SessionGrant:
    """A refresh that is granted."""
    new = invariants.refreshed(invariants.refresh(grant, path), OK(), LOGIN)
    assert new is not None
    return new


def read(invariants: Invariants, grant: SessionGrant) -> None:
    """A read that is let in."""
    grant.session.use()
    assert invariants.own_profile(grant, answer({"id": grant.user}), LOGIN)


def accused(invariants: Invariants, grant: SessionGrant, path: Path = "POST") -> set[str]:
    """What a server is accused of that refuses the access token, and then the refresh token."""
    grant.session.use()
    invariants.own_profile(grant, NO, LOGIN)
    invariants.refreshed(invariants.refresh(grant, path), NO, LOGIN)
    return set(found(invariants))


BOTH = {"token-dead", "chain-broken"}


@pytest.fixture(name="invariants", params=[True, False], ids=["sessions-coexist", "lone-sessions"])
def _invariants(request: pytest.FixtureRequest) -> Invariants:
    """What is certain without knowing whether sessions coexist is certain with it."""
    return looking(sessions_coexist=request.param)


# --- Other log-ins (B3) ------------------------------------------------------------------------


def test_the_only_session_is_certain(invariants: Invariants) -> None:
    """Nothing was done to the account but this one log-in: its tokens have to be good."""
    assert accused(invariants, log_in(invariants)) == BOTH


def test_a_login_counts_when_it_is_sent(invariants: Invariants) -> None:
    """A log-in that is under way may have been carried out, and ended the session: its answer need
    not have come.
    """
    grant = log_in(invariants)
    invariants.log_in(ADA)

    assert accused(invariants, grant) == set()


def test_a_login_of_another_account_ends_nothing(invariants: Invariants) -> None:
    """What is done to another account explains nothing."""
    grant = log_in(invariants)
    invariants.log_in(BEA)

    assert accused(invariants, grant) == BOTH


def test_a_login_that_was_sent_before_may_be_carried_out_after(invariants: Invariants) -> None:
    """Of two log-ins that are under way together either may be the later one, whatever the order of
    their answers.
    """
    first, second = invariants.log_in(ADA), invariants.log_in(ADA)
    grants = [log_in(invariants, session=session) for session in (second, first)]

    for grant in grants:
        assert accused(invariants, grant) == set()


def test_the_newest_session_is_certain(invariants: Invariants) -> None:
    """A log-in that was sent when all others had been answered is the newest, and only that one is
    certain.
    """
    old, new = log_in(invariants), log_in(invariants)

    assert accused(invariants, old) == set()
    assert accused(invariants, new) == BOTH


def test_a_session_keeps_its_age_through_refreshes(invariants: Invariants) -> None:
    """A refresh that was granted before another log-in was carried out makes no new session, though
    its answer is read later.
    """
    grant = log_in(invariants)
    refresh = invariants.refresh(grant, "POST")
    log_in(invariants)
    after = invariants.refreshed(refresh, OK(), LOGIN)

    assert after is not None
    assert accused(invariants, after) == set()


@pytest.mark.parametrize("status", [None, 408, 425, 500, 502, 504])
def test_a_login_without_an_answer_may_come_at_any_time(
    status: int | None, invariants: Invariants
) -> None:
    """A log-in that was lost may be carried out after the next one, too."""
    lost = invariants.log_in(ADA)
    lost.unanswered(left=True) if status is None else invariants.logged_in(
        lost, answer({}, status), LOGIN
    )

    assert accused(invariants, log_in(invariants)) == set()


@pytest.mark.parametrize("status", [None, 429, 423])
def test_a_login_that_did_not_happen_ends_nothing(
    status: int | None, invariants: Invariants
) -> None:
    """A log-in that was turned away, or never left, explains nothing."""
    grant = log_in(invariants)
    session = invariants.log_in(ADA)
    session.unanswered(left=False) if status is None else invariants.logged_in(
        session, answer({}, status), LOGIN
    )

    assert accused(invariants, grant) == BOTH


def test_after_a_long_time_a_lost_login_does_not_come_any_more(
    invariants: Invariants, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was lost minutes ago explains nothing that happens to sessions that begin now."""
    now = [0.0]
    monkeypatch.setattr(sessions, "perf_counter", lambda: now[0])
    invariants.log_in(ADA).unanswered(left=True)

    now[0] = LATE - 1
    assert accused(invariants, log_in(invariants)) == set()
    now[0] = LATE + 1
    assert accused(invariants, log_in(invariants)) == BOTH


def test_accounts_that_others_log_in_as_well_give_no_certainty() -> None:
    """Where another worker has the same account, its log-ins are not known."""
    invariants = looking(shared_accounts=True)

    assert accused(invariants, log_in(invariants)) == set()


def test_a_session_that_was_let_in_was_not_ended_before() -> None:
    """A good answer shows that older log-ins have ended nothing: a refresh shows it of both tokens,
    a read of the access token.
    """
    invariants = looking()
    grant = log_in(invariants)
    log_in(invariants)
    read(invariants, grant)
    assert accused(invariants, grant) == {"token-dead"}

    invariants = looking()
    grant = log_in(invariants)
    log_in(invariants)
    assert accused(invariants, refreshed(invariants, grant)) == BOTH


def test_a_good_answer_shows_nothing_of_a_login_that_was_under_way() -> None:
    """A log-in that was not over when the request was sent may have been carried out after it."""
    invariants = looking()
    grant = log_in(invariants)
    other = invariants.log_in(ADA)
    refresh = invariants.refresh(grant, "POST")
    log_in(invariants, session=other)
    after = invariants.refreshed(refresh, OK(), LOGIN)

    assert after is not None
    assert accused(invariants, after) == set()


def test_where_sessions_are_lone_a_good_answer_shows_nothing() -> None:
    """Where a log-in is known to end the others, that may take a moment, in which the old session
    is let in.
    """
    invariants = looking(sessions_coexist=False)
    grant = log_in(invariants)
    log_in(invariants)

    assert accused(invariants, refreshed(invariants, grant)) == set()


# --- Refreshes (B8) ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [None, 408, 500, 502])
def test_after_a_refresh_without_an_answer_nothing_is_certain(status: int | None) -> None:
    """It may have been carried out: the refresh token is used up, and the old access token revoked;
    then, or at any later time.
    """
    invariants = looking()
    grant = log_in(invariants)
    lost = invariants.refresh(grant, "POST")
    lost.unanswered(left=True) if status is None else invariants.refreshed(
        lost, answer({}, status), LOGIN
    )

    assert accused(invariants, grant) == set()
    again = refreshed(invariants, grant)
    assert accused(invariants, again) == set()
    assert accused(invariants, refreshed(invariants, again)) == set()


def test_a_lost_refresh_may_come_after_the_next_one() -> None:
    """Also where a second use of a refresh token is known to do no harm to others, the session
    itself stays in doubt.
    """
    invariants = looking()
    invariants._harmless.reuse = True
    grant = log_in(invariants)
    invariants.refresh(grant, "POST").unanswered(left=True)

    assert accused(invariants, refreshed(invariants, grant)) == set()


@pytest.mark.parametrize("status", [None, 429])
def test_a_refresh_that_did_not_happen_changes_nothing(status: int | None) -> None:
    """One that was throttled, or never left, explains nothing."""
    invariants = looking()
    grant = log_in(invariants)
    refresh = invariants.refresh(grant, "POST")
    refresh.unanswered(left=False) if status is None else invariants.refreshed(
        refresh, answer({}, status), LOGIN
    )

    assert accused(invariants, grant) == BOTH


def test_the_old_tokens_are_not_certain_and_the_new_ones_are() -> None:
    """A refresh may revoke what was before it, and gives what has to be good."""
    invariants = looking()
    old = log_in(invariants)
    new = refreshed(invariants, old)

    assert accused(invariants, old) == set()
    invariants = looking()
    new = refreshed(invariants, log_in(invariants))
    assert accused(invariants, new) == BOTH


def test_winners_of_a_race_may_revoke_each_others_tokens() -> None:
    """Of several refreshes of a session that are under way together none is certain to be the last;
    the one after them is.
    """
    invariants = looking()
    grant = log_in(invariants)
    racing = [invariants.refresh(grant, "POST", racing=True) for _ in range(3)]
    winners = [invariants.refreshed(refresh, OK(), LOGIN, judged=False) for refresh in racing]

    assert winners[0] is not None and winners[2] is not None
    assert winners[0].may_be_refused and winners[2].may_be_refused
    assert accused(invariants, refreshed(invariants, winners[0])) == BOTH


# --- The same refresh token twice --------------------------------------------------------------


def race(
    invariants: Invariants, grant: SessionGrant, *answers: Callable[[], object] | int | None
) -> SessionGrant | None:
    """A race by POST with these statuses, None for no answer; the last one that was granted."""
    grant.session.reuse()
    racing = [invariants.refresh(grant, "POST", racing=True) for _ in answers]
    won = None
    for refresh, status in zip(racing, answers, strict=True):
        if status is None:
            refresh.unanswered(left=True)
        else:
            won = (
                invariants.refreshed(refresh, OK() if status == 200 else NO, LOGIN, judged=False)
                or won
            )
    grant.session.reused(answered=None not in answers, refused={200, 401} <= set(answers))
    return won


def test_a_second_use_may_end_all_sessions_of_the_user() -> None:
    """A race in one session explains a refusal in another one of the same account, as of a thief;
    and one of another account does not.
    """
    invariants = looking()
    grant, other = log_in(invariants), log_in(invariants)
    race(invariants, grant, 200, 401)
    assert accused(invariants, other) == set()

    invariants = looking()
    of_another = invariants.logged_in(invariants.log_in(BEA), answer(document(OTHER)), LOGIN)
    race(invariants, log_in(invariants), 200, 401)
    assert of_another is not None
    assert accused(invariants, of_another) == BOTH


def test_the_own_race_is_no_excuse_for_what_comes_after_it() -> None:
    """A session that goes on after its own race is as certain as any."""
    invariants = looking()
    won = race(invariants, log_in(invariants), 200, 401)

    assert won is not None
    assert accused(invariants, refreshed(invariants, won)) == BOTH


def test_a_race_with_a_lost_call_leaves_nothing_certain() -> None:
    """The lost one may be the second use, at any later time: in this session and in those that
    begin after it.
    """
    invariants = looking()
    won = race(invariants, log_in(invariants), 200, None)

    assert won is not None
    assert accused(invariants, refreshed(invariants, won)) == set()
    assert accused(invariants, log_in(invariants)) == set()


def test_a_session_that_outlived_a_second_use_shows_that_it_does_no_harm() -> None:
    """A session that outlived another's refused reuse shows that reuse is harmless here."""
    invariants = looking()
    grant, other = log_in(invariants), log_in(invariants)
    won = race(invariants, grant, 200, 401)
    other = refreshed(invariants, other)
    assert won is not None
    race(invariants, refreshed(invariants, won), 200, 401)

    assert accused(invariants, other) == BOTH


# --- Time (B7) ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "path", "kinds"),
    [
        (1.7, "GET", BOTH),
        (1.7, "POST", BOTH),
        (2.5, "GET", set()),
        (2.5, "POST", {"chain-broken"}),
        (4.0, "POST", {"chain-broken"}),
        (5.5, "POST", set()),
    ],
)
def test_old_tokens_are_not_certain(
    age: float, path: Path, kinds: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three seconds the whole ones are not certain, nor the last tenth; then POST has to do, for
    as long again.
    """
    now = [100.0]
    monkeypatch.setattr(sessions, "perf_counter", lambda: now[0])
    invariants = looking(lifetime=3)
    grant = invariants.logged_in(
        invariants.log_in(ADA), answer(document(of=claims(exp=1_700_000_003))), LOGIN
    )
    assert grant is not None
    now[0] += age

    assert accused(invariants, grant, path) == kinds


def test_age_is_counted_from_the_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that was long under way holds a token that may have been issued at once; of a
    repeated refresh, at the first try.
    """
    now = [100.0]
    monkeypatch.setattr(sessions, "perf_counter", lambda: now[0])
    invariants = looking()
    session = invariants.log_in(ADA)
    now[0] += 10
    grant = log_in(invariants, session=session)
    assert grant.asked == 100.0

    invariants.refresh(grant, "POST").unanswered(left=True)
    now[0] += 10
    assert refreshed(invariants, grant).asked == 110.0
