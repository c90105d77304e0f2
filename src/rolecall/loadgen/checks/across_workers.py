"""Finds tokens and users that were given to two workers of a run."""

from __future__ import annotations

from collections.abc import Mapping

from rolecall.loadgen.checks.seen_tokens import PLACES, SeenTokens, pairs
from rolecall.loadgen.checks.violations import Violations

_ACROSS = "the same one was given out to another worker; the exchanges are not at hand any more"


class AcrossWorkers:
    """Checks on the master whether two workers were given the same."""

    def __init__(self, violations: Violations, places: int = 2 * PLACES) -> None:
        self._violations = violations
        self._tokens = SeenTokens(places)
        self._refresh_tokens = SeenTokens(places)
        self._accounts: dict[int, int] = {}  # by user

    def merge(self, delta: Mapping[str, bytes]) -> None:
        """Add what a worker's `Invariants.take` returned."""
        for _ in range(self._tokens.merge(delta["tokens"])):
            self._violations.report(
                "session-repeated",
                "an access token, or its jti, was given out twice",
                history=_ACROSS,
            )
        same, other = self._refresh_tokens.merge_by_user(delta["refresh_tokens"])
        for kind, times, whose in (
            ("session-repeated", same, "twice"),
            ("refresh-token-repeated", other, "to two users"),
        ):
            for _ in range(times):
                message = f"a refresh token was given out {whose}"
                self._violations.report(kind, message, history=_ACROSS)
        for user, account in pairs(delta["users"]):
            if self._accounts.setdefault(user, account) != account:
                self._violations.report(
                    "another-user", "one user was given to accounts of two workers", history=_ACROSS
                )
