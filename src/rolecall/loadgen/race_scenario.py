"""The scenario in which several clients refresh with the same token at the same instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter

import gevent

from rolecall.loadgen.checks.races import Race, RaceCall, outcome_of
from rolecall.loadgen.checks.sessions import Path, Refresh, SessionGrant
from rolecall.loadgen.client_context import ClientContext, LoadConnection
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
        works, refreshes = self._look_at(given)
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
        context.races.judge(Race(grant.user, tuple(calls), path, certain))

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
        self, given: Sequence[SessionGrant | None]
    ) -> tuple[dict[str, bool | None], dict[str, bool | None]]:
        """Which of the winners' access tokens and refresh tokens work.

        First the access tokens: a refresh may revoke those of the session. The session goes on with
        what the last one gave.
        """
        works: dict[str, bool | None] = {}
        refreshes: dict[str, bool | None] = {}
        winners = [grant for grant in given if grant is not None]
        for winner in winners:
            works[winner.token] = self.show_profile(winner, perf_counter(), judged=False)
            if works[winner.token] is False and not winner.is_fresh:
                works[winner.token] = None
        self.grant = None
        for winner in winners:
            if winner.refresh_token not in refreshes:
                refreshes[winner.refresh_token] = self._try(winner)
        return works, refreshes

    def _try(self, given: SessionGrant) -> bool | None:
        """Refresh with what a winner was given: whether that works; None where it is not known."""
        context = self.context
        request = context.refresh_post(given)
        refresh = context.invariants.refresh(given, "POST")
        # A refusal is not an error: who takes a second use for theft ends the token family.
        expected = (*context.dialect.refreshed, *context.dialect.refused)
        response = self.call(
            "POST", "refresh-post (after a race)", request, perf_counter(), expected, refresh
        )
        after = (
            context.invariants.refreshed(refresh, response, request, judged=False)
            if response is not None
            else None
        )
        self.grant = sound(after)
        outcome = outcome_of(response.status if response else None)
        return None if outcome in ("unknown", "throttled") else outcome == "granted"
