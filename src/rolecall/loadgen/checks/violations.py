"""Violations, and advice: all are counted; of each kind a few are kept, with their exchange.

A sample is written out, and redacted, only when it is kept, so that a server which breaks a promise
with every answer slows the run down no more than one that does so once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, Self

from rolecall.evidence import Exchange
from rolecall.loadgen.transport.wire import Response
from rolecall.redaction import Secrets

#: Samples of one kind that are kept, by each worker and by the master.
MOST_SAMPLES = 5
#: Characters of a request, and of an answer, in a sample; and of a message, which may hold what a
#: server has sent.
LONGEST, LONGEST_MESSAGE = 4096, 500
LONGEST_HISTORY = 4 * LONGEST


class Kind(NamedTuple):
    """The requirement, or negative case, that a violation breaks, and its statement.

    What only ``advises`` is no violation: it is of a requirement of level hardening, is told, and
    changes no verdict.
    """

    requirement: str
    statement: str
    advises: bool = False


#: The kinds, in the order of the report: what a violation may only follow from comes first.
KINDS: Mapping[str, Kind] = {
    "status": Kind(
        "ISSUE-status",
        "A token is issued, or refreshed, with a status that the specification gives it.",
    ),
    "shape": Kind(
        "ISSUE-fields",
        "An answer with a token holds tokenType Bearer, token, refreshToken, user and scope.",
    ),
    "jwt": Kind(
        "ISSUE-jwt",
        "A token is a signed JWT that carries the user, and iat and exp in seconds.",
    ),
    "body": Kind("RESPONSE-json", "An answer to a read is a JSON array or object, and says so."),
    "user-mismatch": Kind("ISSUE-user", "The answer's user is the user that the JWT names."),
    "another-user": Kind(
        "ISSUE-identity",
        "A log-in gives tokens of the account's own user, and no two accounts have the same user.",
    ),
    "refreshed-another-user": Kind(
        "REFRESH-same-user", "A refresh answers with tokens of the same user."
    ),
    "scope": Kind(
        "ISSUE-scope",
        "The scope of a token is its user's role, in the answer and in the JWT alike.",
    ),
    "refreshed-scope": Kind(
        "REFRESH-same-user", "A refresh answers with the scope of the token that it continues."
    ),
    "lifetime": Kind(
        "ISSUE-lifetime", "A token expires 24 hours after it was issued, within a minute."
    ),
    "token-repeated": Kind(
        "REFRESH-new-token",
        "A refresh gives a new access token, and none that was given out before.",
    ),
    "refresh-token-repeated": Kind(
        "REFRESH-client", "A refresh token has one user, and is given to no other one."
    ),
    "session-repeated": Kind(
        "SEC-I18",
        "Two log-ins are two sessions: neither an access token, nor its jti, nor a refresh token "
        "is given out twice.",
        advises=True,
    ),
    "login-refused": Kind(
        "ISSUE-status", "A user who has logged in before is not refused under load."
    ),
    "chain-broken": Kind("REFRESH-chain", "The last refresh token of a session can be used."),
    "token-dead": Kind("ISSUE-identity", "A new access token is let in."),
    "profile-of-another": Kind(
        "ISSUE-identity", "A request with a token is made on behalf of the token's user."
    ),
    "race-mixture": Kind(
        "SEC-R11",
        "Simultaneous refreshes with one token are always answered by the same policy.",
        advises=True,
    ),
    "race-without-winner": Kind(
        "REFRESH-chain",
        "Of simultaneous refreshes with one good token one succeeds, or a later one does.",
    ),
    "race-winner-dead": Kind("REFRESH-new-token", "Tokens that are given out in a race work."),
    "race-other-user": Kind(
        "REFRESH-same-user", "A race hands out tokens of the user whose token it is about."
    ),
    "expired-let-in": Kind("EXPIRY-403", "An expired token is not let in under load."),
    "expired-otherwise": Kind(
        "EXPIRY-403", "An expired token is refused as expired under load, too."
    ),
    "denied-allowed": Kind("SEC-A17", "What is denied stays denied under load."),
    "allowed-denied": Kind("SEC-A17", "What is allowed stays allowed under load."),
    "allowed-not-shown": Kind("SEC-A17", "What is allowed is shown under load, too."),
    "wrong-password-let-in": Kind(
        "ISSUE-refused", "A wrong password gets no token under load, either."
    ),
    "anonymous-let-in": Kind(
        "AUTH-required", "Without a token nothing is shown under load, either."
    ),
    "forged-let-in": Kind(
        "SEC-J04", "A token with a changed signature is not let in under load, either."
    ),
}


@dataclass(frozen=True)
class Violation:
    """A violation: ``exchange`` is text, redacted; ``at`` is seconds from the start."""

    kind: str
    message: str
    exchange: str
    at: float

    def pack(self) -> list[Any]:
        """What a worker sends of it."""
        return [self.kind, self.message, self.exchange, self.at]

    @classmethod
    def unpack(cls, packed: list[Any]) -> Self:
        """The same again on the master."""
        return cls(*packed)


class Violations:
    """The violations of one worker, or of all of them on the master.

    Args:
        secrets: as (value, kind), the run's own: passwords, above all. What an exchange itself
            carries is hidden anyway.
        started: when the run began, in seconds of `time.perf_counter`.
    """

    def __init__(
        self,
        secrets: Iterable[tuple[str, str]] = (),
        *,
        started: float | None = None,
        most: int = MOST_SAMPLES,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.samples: list[Violation] = []
        #: Those of kinds that only advise.
        self.advice: list[Violation] = []
        self.started = perf_counter() if started is None else started
        self._secrets = Secrets()
        for value, kind in secrets:
            self._secrets.add(value, kind)
        self._most = most
        self._kept: Counter[str] = Counter()
        self._new_counts: Counter[str] = Counter()
        self._new_samples: list[Violation] = []

    @property
    def total(self) -> int:
        """How many there were, without advice."""
        return sum(decide(self.counts).values())

    def report(
        self,
        kind: str,
        message: str,
        request: bytes = b"",
        response: Response | None = None,
        *,
        history: str = "",
    ) -> None:
        """Count a violation, and keep it if there are few of its kind.

        Args:
            kind: one of `KINDS`.
            request: as it was sent, with its head; empty if the violation is not that of one
                exchange.
            history: what is shown in place of an exchange.
        """
        self.counts[kind] += 1
        self._new_counts[kind] += 1
        if self._kept[kind] < self._most:
            at = perf_counter() - self.started
            exchange = (
                self._exchange(request, response)
                if request
                else _cut(self._secrets.redact(history), LONGEST_HISTORY)
            )
            self._keep(
                Violation(
                    kind,
                    _cut(_as_text(self._secrets.redact(message)), LONGEST_MESSAGE),
                    _as_text(exchange),
                    at,
                )
            )

    def _keep(self, violation: Violation) -> None:
        self._add(violation)
        self._new_samples.append(violation)

    def _add(self, violation: Violation) -> None:
        self._kept[violation.kind] += 1
        (self.advice if KINDS[violation.kind].advises else self.samples).append(violation)

    def _exchange(self, request: bytes, response: Response | None) -> str:
        """An exchange as text: its secrets are learned, then hidden; then it is cut."""
        self._secrets.learn(_as_exchange(request, response))
        sent = self._secrets.redact(request.decode("utf-8", "replace"))
        if response is None:
            return _cut(sent)
        answer = response.head + b"\r\n\r\n" + response.body
        received = self._secrets.redact(answer.decode("utf-8", "replace"))
        return f"{_cut(sent)}\n\n{_cut(received)}"

    def take(self) -> dict[str, Any]:
        """What is new since the last call, for the master; empty when nothing is."""
        if not self._new_counts:
            return {}
        delta = {
            "counts": dict(self._new_counts),
            "samples": [violation.pack() for violation in self._new_samples],
        }
        self._new_counts.clear()
        self._new_samples.clear()
        return delta

    def merge(self, delta: Mapping[str, Any]) -> None:
        """Take in what a worker has sent."""
        self.counts.update(delta.get("counts", {}))
        for violation in map(Violation.unpack, delta.get("samples", ())):
            if self._kept[violation.kind] < self._most:
                self._add(violation)

    def advised(self) -> list[dict[str, Any]]:
        """``advice`` of load.json: by kind, with requirement, count and samples."""
        return [
            {
                "kind": name,
                "requirement": kind.requirement,
                "statement": kind.statement,
                "count": self.counts[name],
                "samples": [
                    {
                        "message": sample.message,
                        "exchange": sample.exchange,
                        "at": round(sample.at, 3),
                    }
                    for sample in self.advice
                    if sample.kind == name
                ],
            }
            for name, kind in KINDS.items()
            if kind.advises and self.counts[name]
        ]


def decide(counts: Mapping[str, int]) -> dict[str, int]:
    """Those of counted kinds that are violations, and no advice."""
    return {kind: count for kind, count in counts.items() if not KINDS[kind].advises}


def _as_exchange(request: bytes, response: Response | None) -> Exchange:
    """What the finder of secrets reads: the exchange in its parts."""
    head, _, body = request.partition(b"\r\n\r\n")
    line, *fields = head.decode("latin-1").split("\r\n")
    method, _, rest = line.partition(" ")
    exchange = Exchange(
        0, method, rest.rpartition(" ")[0], dict(map(_field, fields)), body, caller=""
    )
    if response is not None:
        exchange.status, exchange.body = response.status, response.body
        exchange.headers = list(map(_field, response.head.decode("latin-1").split("\r\n")[1:]))
    return exchange


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name, value.strip()


def _cut(text: str, longest: int = LONGEST) -> str:
    text = text.replace("\r\n", "\n").rstrip("\n")
    return (
        text
        if len(text) <= longest
        else f"{text[:longest]}\n... ({len(text) - longest:,} characters more)"
    )


def _as_text(text: str) -> str:
    """A text that any file can hold: half a surrogate pair, which JSON can, is escaped."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()
