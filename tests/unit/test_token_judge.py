"""The token judge: what it finds, what it leaves undecided, and what it cites.

Longer than 400 lines because
one judge answers for the whole token endpoint, and all its tests share one stage.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest

from rolecall.evidence import Evidence, Exchange, TestEvidence
from rolecall.http.gate import Gate
from rolecall.ledger import Ledger
from rolecall.outcomes import Finding, Inconclusive, TransientFailure
from rolecall.spec.claims import LIFETIME_TOLERANCE, role_of_scope
from rolecall.spec.loading import load_specification
from rolecall.tokens import Caller, Grant
from rolecall.toolkit import token_judge
from rolecall.toolkit.expired_tokens import ExpiredToken
from rolecall.toolkit.token_judge import TokenJudge
from tests.support.exchanges import exchange
from tests.support.token_answers import DAY, OTHER, USER, claims, document, jwt

SPEC = load_specification()
DIALECT = SPEC.dialect({}, "a test")
AS_READ = SPEC.for_target({}, DIALECT, "a test")
URL = "http://target.example/v2/auth/token"


def answer(status: int = 200, body: Any = None, **facts: Any) -> Exchange:
    """An answer of the token endpoint: a body that is not bytes yet becomes JSON."""
    content = (
        b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    )
    return exchange("POST", URL, status=status, body=content, **facts)


def granted(of: dict[str, Any] | None = None, **changes: Any) -> Exchange:
    """An answer with tokens."""
    return answer(200, document(of=of, **changes))


def signed(of: dict[str, Any] | None = None) -> str:
    """A token whose signature is as long as real ones are."""
    return jwt(of or claims(), signature="c2lnbmF0dXJlIG9mIGEgdG9rZW4")


def logged_in(of: dict[str, Any] | None = None, user: str = USER) -> Caller:
    """The agent's user, logged in; a user that the run made unless it is another one."""
    grant = Grant.of(granted(of or claims(user)))
    return Caller("agent", "token", grant.token, user, "agent@example.org", grant)


class HouseOfAnswers:
    """A world that answers what it is told to: as much of one as the judge asks for."""

    def __init__(self, ledger: Ledger) -> None:
        self.dialect, self.spec = DIALECT, AS_READ
        self.gate = Gate(ledger, "http://target.example")
        self.spare: dict[str, list[Caller]] = {}
        self.tokens = AsyncMock()  # the token endpoint
        self.fetch_self = AsyncMock()
        self.alive = AsyncMock(return_value=exchange())

    def role_of_scope(self, scope: object) -> str:
        """The role that a scope stands for."""
        return role_of_scope(scope, SPEC.roles)


@pytest.fixture
def world() -> Iterator[HouseOfAnswers]:
    """A world in which the run has made the user of `logged_in`."""
    ledger = Ledger(Path(os.devnull))
    world = HouseOfAnswers(ledger)
    world.gate.own(ledger.intend("user", "rolecall-1"), USER)
    yield world
    ledger.close()


@pytest.fixture
def judge(world: HouseOfAnswers) -> TokenJudge:
    """The judge in that world."""
    return TokenJudge(world)  # type: ignore[arg-type]  # a stand-in


@pytest.fixture
def evidence() -> Iterator[TestEvidence]:
    """What is cited and noted during the test."""
    with Evidence.collect() as pieces:
        yield pieces


def refused(error: pytest.ExceptionInfo[Finding]) -> tuple[str, str]:
    """What was expected and what was seen, as a report says it."""
    return error.value.expected, error.value.actual


# --- What must be granted ----------------------------------------------------------------------


class TestIssued:
    """Good credentials get a token; whether they are good only the target knows."""

    def test_a_good_status_is_enough(self, judge: TokenJudge, evidence: TestEvidence) -> None:
        """A status of the reading passes, and the answer is cited."""
        seen = answer(201)

        judge.expect_issued(seen, (200, 201), "[accounts.agent]")

        assert evidence.named == {"answer": seen}

    @pytest.mark.parametrize("status", [400, 401, 429, 499])
    def test_a_refusal_proves_nothing(
        self, status: int, judge: TokenJudge, evidence: TestEvidence
    ) -> None:
        """A refused log-in may be the target file's fault: it is undecided, with where to look."""
        seen = answer(status)

        with pytest.raises(Inconclusive) as error:
            judge.expect_issued(seen, (200,), "[accounts.agent]")

        assert error.value.missing == f"credentials that the target takes: {seen}"
        assert error.value.look_at == "[accounts.agent]"
        assert evidence.named == {"answer": seen}

    @pytest.mark.parametrize("status", [0, 202, 302, 399, 500])
    def test_anything_else_is_a_finding(self, status: int, judge: TokenJudge) -> None:
        """Neither a good status nor a refusal: the statuses that would have been right are
        named.
        """
        seen = answer(status)

        with pytest.raises(Finding) as error:
            judge.expect_issued(seen, (200, 201), "")

        assert refused(error) == ("200 or 201 for good credentials", f"{status}")
        assert error.value.exchange is seen


class TestTokenAnswer:
    """The shape of a token creation."""

    def test_a_whole_one_passes(self, judge: TokenJudge) -> None:
        """All five members, and whatever else."""
        judge.expect_token_answer(granted(more="members"))

    @pytest.mark.parametrize("member", ["tokenType", "token", "refreshToken", "user", "scope"])
    def test_each_member_counts(self, member: str, judge: TokenJudge) -> None:
        """A token answer without one of its members is a finding that names it."""
        without: dict[str, Any] = {member: ...}
        with pytest.raises(Finding) as error:
            judge.expect_token_answer(granted(**without))

        assert error.value.expected == 'tokenType "Bearer", token, refreshToken, user and scope'
        assert member in error.value.actual

    def test_all_that_is_wrong_is_said(self, judge: TokenJudge) -> None:
        """Two mistakes are told in one finding, one after the other."""
        seen = granted(scope=..., tokenType="bearer")
        with pytest.raises(Finding) as error:
            judge.expect_token_answer(seen)

        assert error.value.actual == '$: scope is missing; $.tokenType: is not "Bearer"'
        assert error.value.exchange is seen

    @pytest.mark.parametrize("body", [b"", b"<html>", b'{"token":'])
    def test_what_is_no_json(self, body: bytes, judge: TokenJudge) -> None:
        """A body that is not JSON is reported as such, without a list of what lacks."""
        with pytest.raises(Finding) as error:
            judge.expect_token_answer(answer(200, body))

        assert error.value.actual == "the body is not JSON"


class TestRefreshed:
    """A good refresh."""

    def test_passes_with_status_and_shape(self, judge: TokenJudge, evidence: TestEvidence) -> None:
        """200 and a token answer; the answer is cited."""
        seen = granted()

        judge.expect_refreshed(seen)

        assert evidence.named == {"answer": seen}

    def test_another_status_is_a_finding(self, judge: TokenJudge) -> None:
        """With the shape alone it is not done."""
        seen = answer(201, document())
        with pytest.raises(Finding) as error:
            judge.expect_refreshed(seen)

        assert refused(error) == ("200 for a good refresh", "201")
        assert error.value.exchange is seen

    def test_the_reading_counts(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """A target file may say that a refresh is answered with 201."""
        world.dialect = SPEC.dialect({"refreshed": [200, 201]}, "a test")

        judge.expect_refreshed(answer(201, document()))

    def test_the_shape_counts(self, judge: TokenJudge) -> None:
        """A good status without tokens is a finding about the shape."""
        with pytest.raises(Finding, match="tokenType"):
            judge.expect_refreshed(answer(200, {}))

    def test_what_others_build_upon(self, judge: TokenJudge) -> None:
        """The grant of a refresh, where it is there."""
        seen = granted()

        assert judge.expect_grant(seen) == Grant.of(seen)

    @pytest.mark.parametrize(
        "seen", [answer(401, document()), answer(200, {"token": ""}), answer(200)]
    )
    def test_where_there_is_none_to_build_upon(self, seen: Exchange, judge: TokenJudge) -> None:
        """Without a grant nothing is proven; the requirements that judge it are named."""
        with pytest.raises(Inconclusive) as error:
            judge.expect_grant(seen)

        assert error.value.missing == f"a refreshed token: {seen}"
        assert error.value.look_at == "REFRESH-get, REFRESH-post"


class TestLifetime:
    """A token lives 24 hours, give or take clocks that round."""

    @pytest.mark.parametrize("off", [0, -LIFETIME_TOLERANCE, LIFETIME_TOLERANCE])
    def test_a_day(self, off: int, judge: TokenJudge) -> None:
        """A minute more or less is a clock's."""
        judge.expect_lifetime(Grant.of(granted(claims(exp=1_700_000_000 + DAY + off))))

    @pytest.mark.parametrize(
        "seconds", [DAY - LIFETIME_TOLERANCE - 1, DAY + LIFETIME_TOLERANCE + 1, 3600, 0]
    )
    def test_another_time(self, seconds: int, judge: TokenJudge) -> None:
        """More than that is a finding, with both numbers."""
        grant = Grant.of(granted(claims(exp=1_700_000_000 + seconds)))

        with pytest.raises(Finding) as error:
            judge.expect_lifetime(grant)

        assert refused(error) == ("exp - iat = 86400 s", f"{seconds} s")
        assert error.value.exchange is grant.exchange

    @pytest.mark.parametrize("name", ["iat", "exp"])
    @pytest.mark.parametrize("value", [10**400, -1], ids=["huge", "negative"])
    def test_a_number_that_is_no_instant(self, name: str, value: int, judge: TokenJudge) -> None:
        """A number of 400 digits is wrong, and no reason to stop."""
        with pytest.raises(Finding) as error:
            judge.expect_lifetime(Grant.of(granted(claims(**{name: value}))))

        assert refused(error) == ("exp - iat = 86400 s", "no instant in iat or exp")

    @pytest.mark.parametrize("name", ["iat", "exp"])
    @pytest.mark.parametrize("value", [..., "tomorrow", True, None])
    def test_a_time_that_is_not_told(self, name: str, value: object, judge: TokenJudge) -> None:
        """What a token does not say in numbers ISSUE-jwt judges."""
        with pytest.raises(Inconclusive) as error:
            judge.expect_lifetime(Grant.of(granted(claims(**{name: value}))))

        assert (error.value.missing, error.value.look_at) == (
            "iat and exp in the token",
            "ISSUE-jwt",
        )

    def test_the_targets_own_lifetime(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """A target file may say that tokens live for an hour."""
        world.dialect = SPEC.dialect({"lifetime": 3600}, "a test")

        judge.expect_lifetime(Grant.of(granted(claims(exp=1_700_003_600))))


class TestWorks:
    """A token that was granted is let in, as its own user."""

    def test_as_its_own_user(
        self, world: HouseOfAnswers, judge: TokenJudge, evidence: TestEvidence
    ) -> None:
        """The user's own profile says who it is; nothing else is asked."""
        world.fetch_self.return_value = answer(200, {"id": USER})
        caller = logged_in()

        asyncio.run(judge.expect_works(caller))

        assert world.fetch_self.call_args.args == (caller,)
        assert evidence.named["answer"] is world.fetch_self.return_value
        assert not world.alive.called

    def test_as_somebody_else(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """A token that acts as another user is a finding that names both."""
        world.fetch_self.return_value = answer(200, {"id": OTHER})

        with pytest.raises(Finding) as error:
            asyncio.run(judge.expect_works(logged_in()))

        assert refused(error) == (f"user {USER}", f"user '{OTHER}'")
        assert error.value.exchange is world.fetch_self.return_value

    @pytest.mark.parametrize("status", [401, 500, 503])
    def test_not_let_in(self, status: int, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """401 and a server error say so by themselves: no other read is asked for."""
        world.fetch_self.return_value = answer(status)

        with pytest.raises(Finding) as error:
            asyncio.run(judge.expect_works(logged_in()))

        assert refused(error) == ("200: the token is let in", f"{status}")
        assert error.value.exchange is world.fetch_self.return_value
        assert not world.alive.called

    def test_a_denial_of_a_token_that_nothing_takes(
        self, world: HouseOfAnswers, judge: TokenJudge
    ) -> None:
        """Where nothing else is allowed either the token is not let in."""
        world.fetch_self.return_value = answer(403)
        world.alive.side_effect = Inconclusive("a live credential")

        with pytest.raises(Finding, match="200: the token is let in"):
            asyncio.run(judge.expect_works(logged_in()))

    def test_a_denial_of_a_token_that_lives(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """A token that may do other things is let in: who it acts as is not known, and
        PERM-fetch-user-self says whose fault that is.
        """
        world.fetch_self.return_value = answer(403)
        caller = logged_in()

        with pytest.raises(Inconclusive) as error:
            asyncio.run(judge.expect_works(caller))

        assert (
            error.value.missing
            == f"the user that the token acts as: {world.fetch_self.return_value}"
        )
        assert error.value.look_at == "PERM-fetch-user-self"
        asked, after = world.alive.call_args.args
        assert asked is caller
        # proof from before the denial would be none
        assert time.monotonic() - 10 < after <= time.monotonic()

    def test_trouble_is_no_death(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """Where the look for other things meets passing trouble, the token is not called dead."""
        world.fetch_self.return_value = answer(403)
        world.alive.side_effect = TransientFailure("an answer")

        with pytest.raises(TransientFailure):
            asyncio.run(judge.expect_works(logged_in()))


# --- What must be refused ----------------------------------------------------------------------


class TestNoToken:
    """A refusal with no token in it."""

    @pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
    def test_a_refusal(self, status: int, judge: TokenJudge, evidence: TestEvidence) -> None:
        """Every refusing status of the reading passes; the controls are cited beside it."""
        seen, control = answer(status, {"message": "no"}), granted()

        judge.expect_no_token(seen, control)

        assert evidence.named == {"answer": seen, "control": control}

    @pytest.mark.parametrize("status", [200, 204, 302, 418, 429, 500])
    def test_another_status(self, status: int, judge: TokenJudge) -> None:
        """A status that refuses nothing is a finding, without a token too."""
        seen = answer(status, {})
        with pytest.raises(Finding) as error:
            judge.expect_no_token(seen)

        assert refused(error) == (
            "a refusal: 400 or 401 or 403 or 404 or 409 or 410 or 413 or 415 or 422",
            f"{status}",
        )
        assert error.value.exchange is seen

    @pytest.mark.parametrize("attack", ["SEC-B02", "REFRESH-client", ""])
    @pytest.mark.parametrize("status", [399, 400, 418, 429, 430, 499, 500, 501])
    def test_what_no_credential_looks_like(
        self, status: int, attack: str, judge: TokenJudge
    ) -> None:
        """What a firewall answers to a shape that nobody's credentials have is a refusal, whatever
        client error it is; that it was too much is none, and neither is an error of the server.
        """
        is_refused = status == 400 or (attack == "SEC-B02" and status in (418, 430, 499))
        with nullcontext() if is_refused else pytest.raises(Finding):
            judge.expect_no_token(answer(status, {}, attack=attack))

    @pytest.mark.parametrize(
        "body",
        [
            {"token": "opaque"},
            {"refreshToken": "opaque"},
            {"error": {"details": [signed()]}},
            f"<p>welcome, {signed()}</p>".encode(),
        ],
        ids=["token", "refresh-token", "anywhere-in-json", "anywhere-in-text"],
    )
    @pytest.mark.parametrize("status", [200, 401])
    def test_a_token_anywhere(self, status: int, body: Any, judge: TokenJudge) -> None:
        """Whatever the status, a token is one too many."""
        seen = answer(status, body)
        with pytest.raises(Finding) as error:
            judge.expect_no_token(seen)

        assert refused(error) == ("a refusal without a token", f"{status} with a token")
        assert error.value.exchange is seen

    def test_an_echo_is_no_token(self, judge: TokenJudge) -> None:
        """A refusal that repeats what was sent gives nothing: the bearer, a JWT of the body, one of
        the query.
        """
        bearer, sent, asked = signed(), signed(), signed()
        seen = answer(
            401,
            {"message": f"no {bearer} nor {sent} nor {asked}"},
            request_headers={"authorization": f"Bearer {bearer}"},
            request_body=json.dumps({"refreshToken": sent}).encode(),
        )
        seen.url = f"{URL}?refreshToken={asked}"

        judge.expect_no_token(seen)

    def test_an_echo_of_a_credential_without_a_scheme(self, judge: TokenJudge) -> None:
        """A header that holds the token alone is what was sent, too."""
        bearer = signed()

        judge.expect_no_token(
            answer(401, {"message": bearer}, request_headers={"authorization": bearer})
        )

    def test_an_echo_hides_no_other_token(self, judge: TokenJudge) -> None:
        """Beside what was sent another token is found."""
        sent = signed()
        seen = answer(401, {"message": f"{sent} {signed()}"}, request_body=sent.encode())

        with pytest.raises(Finding, match="with a token"):
            judge.expect_no_token(seen)

    def test_a_body_that_is_no_text_was_sent(self, judge: TokenJudge) -> None:
        """What an attack sends need not be text."""
        judge.expect_no_token(answer(400, {}, request_body=b"\xff\xfe"))


class TestRefreshAtMost:
    """An attack on a refresh gets a refusal, or what its own credentials are worth."""

    @pytest.mark.parametrize("seen", [answer(401), answer(400, {"message": "no"})])
    def test_a_refusal(self, seen: Exchange, judge: TokenJudge, evidence: TestEvidence) -> None:
        """A refusal is right; the log-in that it is held against is cited."""
        caller = logged_in()

        asyncio.run(judge.expect_refresh_at_most(seen, caller, "get"))

        assert evidence.named == {"answer": seen, "control": caller.grant.exchange}

    def test_no_more_than_its_own(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """A token of the same user, scope and lifetime is nothing more; no other session is opened
        for it.
        """
        asyncio.run(judge.expect_refresh_at_most(granted(claims(jti=...)), logged_in(), "get"))

        assert not world.tokens.refresh_by.called

    @pytest.mark.parametrize(
        ("seen", "what"),
        [
            (granted(claims(OTHER), user=OTHER), f"a token with user '{USER}'"),
            (granted(claims(OTHER)), f"a token with user in its claims '{USER}'"),
            (granted(scope="admin"), "a token with scope 'agent'"),
            (granted(claims(scope="admin")), "a token with scope in its claims 'agent'"),
            (answer(200, {}), "a refusal, or a token"),
            (answer(500), "an answer other than a server error"),
        ],
        ids=["user", "claimed-user", "scope", "claimed-scope", "nothing", "crash"],
    )
    def test_more_than_its_own(self, seen: Exchange, what: str, judge: TokenJudge) -> None:
        """Another user, a wider scope, an answer that is neither, a crash: each is a finding."""
        with pytest.raises(Finding) as error:
            asyncio.run(judge.expect_refresh_at_most(seen, logged_in(), "get"))

        assert what in error.value.expected
        assert error.value.exchange is seen

    @pytest.mark.parametrize("method", ["get", "post"])
    def test_a_longer_life_is_held_against_a_plain_refresh(
        self,
        method: str,
        world: HouseOfAnswers,
        judge: TokenJudge,
        evidence: TestEvidence,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Where every refresh gives thirty days, so may this one; the plain refresh is by the same
        method, and is the control.
        """
        long = 1_700_000_000 + 30 * DAY
        plain, session = granted(claims(exp=long)), logged_in()
        fresh = AsyncMock(return_value=session)
        monkeypatch.setattr(token_judge, "fresh_session", fresh)
        world.tokens.refresh_by.return_value = plain

        asyncio.run(judge.expect_refresh_at_most(granted(claims(exp=long)), logged_in(), method))

        assert fresh.call_args.args == (world, "agent")
        assert world.tokens.refresh_by.call_args.args == (
            method,
            session.grant.refresh_token,
            session,
        )
        assert world.tokens.refresh_by.call_args.kwargs == {"attack": ""}
        assert plain in evidence.exchanges

    def test_a_longer_life_than_after_a_plain_refresh(
        self, world: HouseOfAnswers, judge: TokenJudge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where a plain refresh gives a day, thirty are too many."""
        monkeypatch.setattr(token_judge, "fresh_session", AsyncMock(return_value=logged_in()))
        world.tokens.refresh_by.return_value = granted()

        with pytest.raises(Finding) as error:
            asyncio.run(
                judge.expect_refresh_at_most(
                    granted(claims(exp=1_700_000_000 + 30 * DAY)), logged_in(), "get"
                )
            )

        assert refused(error) == ("a refusal, or a token that lives 86400 s", "2592000 s")

    def test_nothing_to_compare_a_longer_life_with(
        self,
        world: HouseOfAnswers,
        judge: TokenJudge,
        evidence: TestEvidence,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Without a plain refresh it stays undecided."""
        monkeypatch.setattr(token_judge, "fresh_session", AsyncMock(return_value=logged_in()))
        world.tokens.refresh_by.return_value = answer(401)

        with pytest.raises(Inconclusive, match="a refreshed token"):
            asyncio.run(
                judge.expect_refresh_at_most(
                    granted(claims(exp=1_700_000_000 + 30 * DAY)), logged_in(), "get"
                )
            )

        assert evidence.named["control"] is world.tokens.refresh_by.return_value


def user() -> Any:
    """A user that the run has made, logged in."""
    return SimpleNamespace(caller=logged_in(), account="its account")


class TestLoginAtMost:
    """What a log-in that asks for more may be given."""

    @pytest.mark.parametrize("seen", [answer(400), granted(claims(jti=...))], ids=str)
    def test_no_more_than_its_own(
        self, seen: Exchange, world: HouseOfAnswers, judge: TokenJudge
    ) -> None:
        """A refusal, or a token of the same user, scope and lifetime, asks for no other log-in."""
        asyncio.run(judge.expect_login_at_most(seen, user()))

        assert not world.tokens.issue.called

    def test_a_wider_scope(self, judge: TokenJudge) -> None:
        """Another scope is a finding that says which."""
        with pytest.raises(Finding) as error:
            asyncio.run(judge.expect_login_at_most(granted(scope="admin"), user()))

        assert refused(error)[1] == "a token with scope 'admin'"

    def test_a_longer_life_is_held_against_a_plain_login(
        self, world: HouseOfAnswers, judge: TokenJudge, evidence: TestEvidence
    ) -> None:
        """Where every second log-in gives thirty days, this one was given no more for its wish."""
        long = 1_700_000_000 + 30 * DAY
        world.tokens.issue.return_value = plain = granted(claims(exp=long))

        asyncio.run(judge.expect_login_at_most(granted(claims(exp=long)), user()))

        assert world.tokens.issue.call_args.args == ("its account",)
        assert plain in evidence.exchanges

    def test_a_longer_life_than_after_a_plain_login(
        self, world: HouseOfAnswers, judge: TokenJudge
    ) -> None:
        """Where a plain log-in gives a day, thirty are too many."""
        world.tokens.issue.return_value = granted()

        with pytest.raises(Finding) as error:
            asyncio.run(
                judge.expect_login_at_most(granted(claims(exp=1_700_000_000 + 30 * DAY)), user())
            )

        assert refused(error) == ("a refusal, or a token that lives 86400 s", "2592000 s")

    @pytest.mark.parametrize("plain", [answer(429), answer(200, {}), answer(500, document())])
    def test_nothing_to_compare_a_longer_life_with(
        self,
        plain: Exchange,
        world: HouseOfAnswers,
        judge: TokenJudge,
        evidence: TestEvidence,
    ) -> None:
        """Without another log-in it stays undecided."""
        world.tokens.issue.return_value = plain

        with pytest.raises(Inconclusive, match="another log-in") as open_:
            asyncio.run(
                judge.expect_login_at_most(granted(claims(exp=1_700_000_000 + 30 * DAY)), user())
            )

        assert open_.value.missing == f"another log-in of the same user: {plain}"
        assert open_.value.look_at == "ISSUE-status"
        assert evidence.named == {"control": plain}


class TestLetIn:
    """Whether a token is taken, before and after its end."""

    def test_let_in(self, judge: TokenJudge, evidence: TestEvidence) -> None:
        """Any success shows that the caller was let in, and is cited."""
        seen = answer(204)

        judge.expect_let_in(seen, "in its last minute")

        assert evidence.named == {"answer": seen}

    @pytest.mark.parametrize("status", [0, 302, 401, 403, 500])
    def test_not_let_in_when_it_should_be(self, status: int, judge: TokenJudge) -> None:
        """Anything else is a finding that says when."""
        seen = answer(status)
        with pytest.raises(Finding) as error:
            judge.expect_let_in(seen, "in its last minute")

        assert refused(error) == ("let in in its last minute", f"{status}")
        assert error.value.exchange is seen

    @pytest.mark.parametrize("status", DIALECT.gone)
    def test_a_user_who_is_not_there(self, status: int, judge: TokenJudge) -> None:
        """Where the user is not shown yet, the answer says nothing of the token."""
        seen = answer(status)
        with pytest.raises(Inconclusive) as open_:
            judge.expect_let_in(seen, "in its last minute")

        assert open_.value.missing == (
            f"a token let in in its last minute: {seen}, which says nothing of the token"
        )
        assert open_.value.look_at == "PERM-fetch-user-self"

    def test_expired(self, judge: TokenJudge, evidence: TestEvidence) -> None:
        """403 is what the page has; how the token came to its end stands beside it."""
        seen = answer(403)

        judge.expect_expired(seen, ExpiredToken(logged_in(), "bank"))

        assert evidence.named == {"answer": seen}
        assert evidence.notes == ["bank, evidence grade A: 403"]

    @pytest.mark.parametrize(
        ("status", "actual"),
        [
            (200, "200"),
            (401, "401, as RFC 6750 has it; a target file can say so: [dialect] expired = [401]"),
            (500, "500"),
        ],
    )
    def test_not_expired(self, status: int, actual: str, judge: TokenJudge) -> None:
        """Another status is a finding with its grade; that of RFC 6750 comes with the line for the
        target file.
        """
        seen = answer(status)
        with pytest.raises(Finding) as error:
            judge.expect_expired(seen, ExpiredToken(logged_in(), "signing key"))

        assert refused(error) == (
            "403 once the token has expired (signing key, evidence grade B)",
            actual,
        )
        assert error.value.exchange is seen

    def test_the_other_reading(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """Where the target file reads expiry as 401, that status passes."""
        world.dialect = SPEC.dialect({"expired": [401]}, "a test")

        judge.expect_expired(answer(401), ExpiredToken(logged_in(), "clock"))

    @pytest.mark.parametrize("status", [401, 403])
    def test_nobody_is_let_in(self, status: int, judge: TokenJudge, evidence: TestEvidence) -> None:
        """Without a valid token either status is right; the answer is cited."""
        seen = answer(status)

        judge.expect_not_let_in(seen)

        assert evidence.named == {"answer": seen}

    @pytest.mark.parametrize("status", [200, 302, 400, 404, 500])
    def test_somebody_is_let_in(self, status: int, judge: TokenJudge) -> None:
        """Any status but a refusal is a finding."""
        seen = answer(status)
        with pytest.raises(Finding) as error:
            judge.expect_not_let_in(seen)

        assert refused(error) == ("401 or 403: not let in", f"{status}")
        assert error.value.exchange is seen


# --- Controls ----------------------------------------------------------------------------------


class TestControl:
    """The refresh beside a tampered one: it must succeed, and what it gave another test may
    have.
    """

    def control(self, judge: TokenJudge, seen: Exchange, caller: Caller | None = None) -> Exchange:
        """Judge a refresh as a control."""

        async def refresh() -> Exchange:
            return seen

        return asyncio.run(judge.control_refresh(refresh(), caller))

    def test_succeeds(self, judge: TokenJudge, evidence: TestEvidence) -> None:
        """It is given back, and cited as the control."""
        seen = granted()

        assert self.control(judge, seen) is seen
        assert evidence.named == {"control": seen}

    @pytest.mark.parametrize("status", [302, 401, 500])
    def test_does_not(self, status: int, judge: TokenJudge) -> None:
        """Where the same refresh fails untampered, the tampering proves nothing."""
        seen = answer(status)
        with pytest.raises(Inconclusive) as error:
            self.control(judge, seen)

        assert error.value.missing == f"the same refresh succeeding untampered: {seen}"
        assert error.value.look_at == "REFRESH-get, REFRESH-post"

    def test_leaves_its_session_to_others(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """A session of a user that the run made goes on with the new tokens."""
        caller, seen = logged_in(), granted()

        self.control(judge, seen, caller)

        (left,) = world.spare["agent"]
        assert (left.user, left.token, left.grant.refresh_token) == (
            USER,
            Grant.of(seen).token,
            Grant.of(seen).refresh_token,
        )

    def test_keeps_what_was_left_before(self, world: HouseOfAnswers, judge: TokenJudge) -> None:
        """A session that was spare before stays, and the newest stands last."""
        before = logged_in()
        world.spare["agent"] = [before]

        self.control(judge, granted(), logged_in())

        assert world.spare["agent"][0] is before
        assert len(world.spare["agent"]) == 2

    def test_without_a_caller_nothing_is_left(
        self, world: HouseOfAnswers, judge: TokenJudge
    ) -> None:
        """A refresh without a caller leaves no session."""
        self.control(judge, granted())

        assert world.spare == {}

    @pytest.mark.parametrize(
        "changes",
        [
            {"refreshToken": ...},
            {"token": ...},
            {"user": OTHER},
            {"of": claims(OTHER)},
            {"scope": "guest"},
            {"of": claims(scope="guest")},
            {"scope": "agent guest bot"},
        ],
        ids=[
            "no-refresh-token",
            "no-token",
            "user",
            "claimed-user",
            "scope",
            "claimed-scope",
            "no-scope-of-a-role",
        ],
    )
    def test_what_is_not_surely_the_callers_is_left_to_nobody(
        self, changes: dict[str, Any], world: HouseOfAnswers, judge: TokenJudge
    ) -> None:
        """An incomplete grant, or one of another user or role, is not a session of this caller."""
        self.control(judge, granted(**changes), logged_in())

        assert world.spare == {}

    def test_an_accounts_session_is_not_for_attacks(
        self, world: HouseOfAnswers, judge: TokenJudge
    ) -> None:
        """Of a user that was there before the run nothing is left."""
        self.control(judge, granted(claims(OTHER), user=OTHER), logged_in(user=OTHER))

        assert world.spare == {}


def test_exchanges_of_other_tests_count_as_evidence(
    judge: TokenJudge, evidence: TestEvidence
) -> None:
    """Of several the newest stands for all; a note stands beside it."""
    last = answer()

    judge.cite(answer(), answer(), last)
    judge.note("both were asked for at once")

    assert evidence.exchanges == [last]
    assert evidence.named == {}
    assert evidence.notes == ["both were asked for at once"]
