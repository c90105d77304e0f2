"""The scenario in which several clients refresh with the same token at the same instant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile
from time import perf_counter

import gevent

from rolecall.loadgen.checks.races import (
    Race,
    RaceCall,
    explanations,
    is_lost,
    outcome_of,
    outcome_of_answer,
)
from rolecall.loadgen.checks.sessions import Path, Refresh, SessionGrant
from rolecall.loadgen.client_context import ClientContext, LoadConnection
from rolecall.loadgen.lag import BRIEFLY, pauses
from rolecall.loadgen.scenario import RefreshingScenario, sound
from rolecall.loadgen.transport.wire import Response


class RefreshRaceScenario(RefreshingScenario):
    """Several clients refresh one session at once; then each winner's tokens are tried.

    The session goes on with what works of that, or with a new log-in.
    """

    name = "refresh-race"

    def __init__(self, context: ClientContext) -> None:
        super().__init__(context)
        self._racers = [self.connection, *(context.connect() for _ in range(context.racers - 1))]
        self._races = 0

    def use(self, connections: list[LoadConnection]) -> None:
        """Race over these connections from now on, one for each racer."""
        while len(connections) < self.context.racers:
            connections.append(self.context.connect())
        self._connections = connections
        self.connection = connections[0]
        self._racers = connections[: self.context.racers]

    def close(self) -> None:
        """Close all connections."""
        super().close()
        for connection in self._racers:
            connection.close()

    def go_on(self, grant: SessionGrant, due: float) -> None:
        """Race once, by both paths in turn; by POST if the access token may have expired."""
        context, session = self.context, grant.session
        self._races += 1
        path: Path = "POST" if self._races % 2 or not grant.is_fresh else "GET"
        request = context.refresh_get(grant) if path == "GET" else context.refresh_post(grant)
        certain = grant.is_last and grant.is_refreshable
        session.reuse()
        answers = self._race(grant, path, request, due)
        opened = [racer.opened for racer in self._racers]
        calls = [
            RaceCall(racer.sent, racer.received, outcome_of(answer.status if answer else None))
            for racer, (_, answer) in zip(self._racers, answers, strict=True)
        ]
        outcomes = {call.outcome for call in calls}
        session.reused(
            answered="unknown" not in outcomes,
            refused=path == "POST" and {"granted", "refused"} <= outcomes,
        )
        certain = certain and grant.is_refreshable and (path == "POST" or grant.is_fresh)
        given = [
            context.invariants.refreshed(refresh, answer, request, judged=False) if answer else None
            for refresh, answer in answers
        ]
        works, refreshes = self._look_at(given, opened, patient="refused" not in outcomes)
        calls = [
            replace(
                call,
                user=winner.user,
                token_works=works[winner.token],
                refresh_token_works=refreshes[winner.refresh_token],
            )
            if winner is not None
            else call
            for call, winner in zip(calls, given, strict=True)
        ]
        certain = (
            certain and not session.is_ended(access=False) and not session.is_ended(access=True)
        )
        self._judge(Race(grant.user, tuple(calls), path, certain and _reached(answers)), grant)

    def _judge(self, race: Race, grant: SessionGrant) -> None:
        """Judge a race; where nobody won it, once it is known what that was for the session."""
        if race.certain and is_lost(race, explanations(race)):
            race = replace(race, is_good_after=self._try_again(grant))
        self.context.races.judge(race)

    def _race(
        self, grant: SessionGrant, path: Path, request: bytes, due: float
    ) -> list[tuple[Refresh, Response | None]]:
        """Let all present the refresh token at once: what came of each."""
        context, name = self.context, f"refresh-race-{path.lower()}"
        expected = (*context.dialect.refreshed, *context.dialect.refused)
        refreshes = [context.invariants.refresh(grant, path, racing=True) for _ in self._racers]
        runners = [
            gevent.spawn(self.call, path, name, request, due, expected, refresh, racer)
            for refresh, racer in zip(refreshes, self._racers, strict=True)
        ]
        gevent.joinall(runners)
        return [(refresh, runner.get()) for refresh, runner in zip(refreshes, runners, strict=True)]

    def _look_at(
        self, given: Sequence[SessionGrant | None], opened: Sequence[int], *, patient: bool
    ) -> tuple[dict[str, bool | None], dict[str, bool | None]]:
        """Which of the winners' access tokens and refresh tokens work.

        First the access tokens: a refresh may revoke those of the session. The session goes on with
        what the last one gave. What is refused is asked for again, since it was given on another
        connection, perhaps (AMB-17); if not ``patient``, for a short time only, since some servers
        end all tokens of a session after a race.

        Args:
            given: what each racer was given.
            opened: how many connections each had opened by then.
        """
        works: dict[str, bool | None] = {}
        refreshes: dict[str, bool | None] = {}
        winners = [grant for grant in given if grant is not None]
        for winner in winners:
            works[winner.token] = self.show_profile(winner, perf_counter(), judged=False)
        left = self._pauses(patient=patient)
        for pause in left:
            if not works or True in works.values() or None in works.values():
                break  # one is enough: the others, that one's refresh may have revoked
            gevent.sleep(pause)
            for winner in winners:
                works[winner.token] = self.show_profile(winner, perf_counter(), judged=False)
        for winning, racer, number in zip(given, self._racers, opened, strict=True):
            if winning is None or works[winning.token] is not False:
                continue
            if not winning.is_fresh or not (patient or self._is_dead(winning, racer, number)):
                works[winning.token] = None
        self.grant = None
        for winner in winners:
            if winner.refresh_token not in refreshes:
                refreshes[winner.refresh_token] = self._try_anew(winner, left)
        return works, refreshes

    def _is_dead(self, winner: SessionGrant, racer: LoadConnection, number: int) -> bool:
        """Whether a token is refused on the very connection on which it was given, so that it is
        not unknown for the moment, elsewhere.
        """
        here, self.connection = self.connection, racer
        try:
            works = self.show_profile(winner, perf_counter(), judged=False)
        finally:
            self.connection = here
        return works is False and racer.opened == number

    def _pauses(self, *, patient: bool) -> Iterator[float]:
        """Seconds between two looks, as long as something may be late."""
        lag = self.context.lag
        until = perf_counter() + (lag.seconds if patient else min(BRIEFLY, lag.seconds))
        yield from takewhile(lambda pause: perf_counter() + pause < until, pauses())
        if patient:
            lag.note(came=False)

    def _try_again(self, grant: SessionGrant) -> bool | None:
        """Present a refresh token once more that a race was about, and nobody won."""
        return self._try_anew(grant, self._pauses(patient=True), racing=True)

    def _try_anew(
        self, given: SessionGrant, left: Iterator[float], *, racing: bool = False
    ) -> bool | None:
        """As `_try`, of what may be revoked by now, with its family, or since it was refused.

        To some servers that is a second use like any other, and ends all of the user's sessions.
        """
        given.session.reuse()
        works = self._try(given, left, racing=racing)
        given.session.reused(answered=works is not None, refused=False)
        return works

    def _try(
        self, given: SessionGrant, left: Iterator[float], *, racing: bool = False
    ) -> bool | None:
        """Refresh with what a client holds: whether that works; None where it is not known.

        Args:
            left: the seconds between looks that are left to the race; all its winners share them.
        """
        context = self.context
        request = context.refresh_post(given)
        # A refusal is not an error: who takes a second use for theft ends the token family.
        expected = (*context.dialect.refreshed, *context.dialect.refused)
        name = "refresh-post (after a race)"
        while True:
            refresh = context.invariants.refresh(given, "POST", racing=racing)
            response = self.call("POST", name, request, perf_counter(), expected, refresh)
            outcome = outcome_of_answer(response) if response else "unknown"
            pause = next(left, None) if outcome == "refused" else None
            if pause is None:
                break
            refresh.unanswered(left=False)  # refused, it did nothing
            gevent.sleep(pause)
        after = (
            context.invariants.refreshed(refresh, response, request, judged=False)
            if response is not None
            else None
        )
        self.grant = sound(after)
        return None if outcome in ("unknown", "throttled") else outcome == "granted"


def _reached(answers: Sequence[tuple[Refresh, Response | None]]) -> bool:
    """Whether a race reached the server: not where somebody before it turned all away."""
    return not all(answer and answer.is_foreign for _, answer in answers)
