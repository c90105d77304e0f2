"""Expired tokens, and tokens in their last minute, each with the way that led there."""

from __future__ import annotations

from dataclasses import dataclass, field

from rolecall.evidence import Exchange
from rolecall.outcomes import TransientFailure
from rolecall.tokens import Caller

#: The ways to an expired token, and how strong the evidence is that it has expired.
GRADES = {"bank": "A", "clock": "A-", "signing key": "B", "wait": "C", "command": "D"}


@dataclass(frozen=True)
class ExpiredToken:
    """A caller whose token has expired, and by which way; a spare one's user may log in again."""

    caller: Caller
    source: str
    refresh_token: str = field(default="", repr=False)
    is_spare: bool = False
    first_answer: Exchange | None = (
        None  # where nothing came between it and a good one to the same request
    )

    @property
    def evidence(self) -> str:
        """For the report: the way and its grade."""
        return f"{self.source}, evidence grade {GRADES[self.source]}"


@dataclass(frozen=True)
class AlmostExpired:
    """What a token was answered in its last minute, and how that minute came about."""

    caller: Caller
    source: str
    exchange: Exchange


class TooLate(TransientFailure):
    """A token's last minute passed without an answer; a retry has to wait ``pause`` seconds."""

    def __init__(self, missing: str, pause: float = 0.0) -> None:
        super().__init__(missing, "the latency and the rate limit of the target")
        self.pause = pause
