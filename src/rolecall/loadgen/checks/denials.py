"""How long a credential goes on being let in after it was revoked: when to ask, and what is seen.

A credential is shown over several connections at a time, since a load balancer may lead each to
another process, with a cache of its own. From the answer to the revocation on each connection asks
again and again: every 6 ms at first, then after about a tenth of the time that has passed, so that
a delay is known to a few per cent, however long it is, and one of a minute costs hardly more
requests than one of a second. One that was refused twice asks more seldom.

The credential was refused everywhere at some instant between the *sending* of the last request
that was let in and the *coming* of the next refusal. Where no two connections contradict each
other that is the first refusal on any of them, else the next on the same one; the delay that is
told is the middle between the two, and half of what lies between is how far it may be off. Where
nothing that was sent after the answer was let in, the delay is 0, known to the first refusal.

Two connections contradict each other where one was refused before a request was sent on another
that was let in (``uneven``): several processes, each of which keeps what it knows. The same on
one connection is a credential that came back (``came_back``).

What is no answer about credentials (429, 5xx, none) says nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, Literal

from rolecall.histogram import Histogram

#: What is revoked, by name, and what is shown afterwards.
KINDS: Mapping[str, str] = {
    "user-deleted": "the access token of a user who was deleted",
    "user-demoted": "the access token of a user whose role was lowered, for what the old one may",
    "password-changed": "the access token of a user whose password was changed",
    "key-deleted": "an API key that was deleted",
    "refreshed": "the access token of a session that was refreshed",
    "rotated": "the refresh token of a session that was refreshed",
    "expired": "an access token that has expired",
}
#: Seconds for which a credential has to stay refused.
STAYS = 1.0
#: Seconds between two requests on one connection: before the revocation, at the least after it, and
#: at the least once it was refused twice.
_BEFORE, _LEAST, _LEAST_REFUSED = 0.1, 0.006, 0.05
#: The same as a share of the time since the revocation, from the moment at which that is more.
_SHARE = 0.1
#: Seconds between the first requests of two connections, so that caches are not filled together.
_STAGGER = 0.03

Sight = Literal["let in", "refused", "unknown"]
Outcome = Literal["denied", "late", "undecided"]


@dataclass(frozen=True)
class Sighting:
    """One request with the credential, and what came of it; times in seconds of one clock."""

    connection: int
    sent: float
    received: float
    what: Sight


@dataclass(frozen=True)
class Denial:
    """What became of a credential: it was refused everywhere after ``delay`` seconds, known to
    ``off``; or it was let in for longer than the bound (late); or neither is known (undecided).
    """

    outcome: Outcome
    delay: float = 0.0
    off: float = 0.0
    uneven: bool = False
    came_back: bool = False


class Watch:
    """One credential, from before its revocation until it stays refused or the bound is over.

    It sends nothing: it says when each connection is to ask, and is told what came of it.

    Args:
        connections: how many there are, numbered from 0.
        bound: seconds after which a credential that is still let in is late.
        began: the instant of the first request.
        longest: seconds for which one is watched that is let in; the bound unless it is more.

    Attributes:
        revoked: the instant at which the revocation was answered, or at which a token ends.
        off: by how many seconds that may be off.
    """

    def __init__(self, connections: int, bound: float, began: float, longest: float = 0.0) -> None:
        self.revoked = inf
        self.off = 0.0
        self._connections = connections
        self._bound = bound
        self._longest = max(bound, longest)
        self._began = began
        self._sent: dict[int, float] = {}  # the last request of each connection
        self._warm: set[int] = set()
        self._since: list[Sighting] = []
        self._now: dict[int, Sight] = {}  # the last that each connection said since
        self._refusals: Counter[int] = Counter()  # one after the other, of each connection
        self._last = -inf  # when the last request was sent that was let in since

    def due(self, connection: int) -> float:
        """The instant at which a connection is to ask next; it may be over."""
        sent = self._sent.get(connection)
        if sent is None:
            return min(self._began + connection * _STAGGER, self.revoked)
        if sent < self.revoked:
            return min(sent + _BEFORE, self.revoked)
        elapsed = sent - self.revoked
        if elapsed < _LEAST / 2:  # all ask at once then; from now on they take turns
            return sent + _LEAST * (connection + 1) / self._connections
        least = _LEAST_REFUSED if self._refusals[connection] > 1 else _LEAST
        # each at a pace of its own, or after a stall all would ask at the same instants
        share = _SHARE * (0.8 + 0.4 * connection / self._connections)
        return sent + max(least, share * elapsed)

    def note(self, sighting: Sighting) -> None:
        """Take what came of a request."""
        self._sent[sighting.connection] = sighting.sent
        if sighting.sent < self.revoked:
            if sighting.what == "let in":
                self._warm.add(sighting.connection)
            return
        if sighting.what == "unknown":
            return
        self._since.append(sighting)
        self._now[sighting.connection] = sighting.what
        self._refusals[sighting.connection] += 1
        if sighting.what == "let in":
            self._refusals[sighting.connection] = 0
            self._last = max(self._last, sighting.sent)

    @property
    def warm(self) -> int:
        """The connections that were let in before the revocation."""
        return len(self._warm)

    @property
    def _is_refused(self) -> bool:
        return bool(self._now) and set(self._now.values()) == {"refused"}

    def is_over(self, now: float) -> bool:
        """Whether enough is known at this instant, or the time is over."""
        quiet = now - max(self._last, self.revoked)
        return (self._is_refused and quiet >= STAYS) or now >= self.revoked + self._longest + STAYS

    def denial(self, now: float) -> Denial:
        """What is known at this instant."""
        since = sorted(self._since, key=lambda sighting: sighting.sent)
        uneven, came_back = _contradicted(since)
        seen = {"uneven": uneven, "came_back": came_back}
        if self._last - self.revoked >= self._bound:
            return Denial("late", **seen)
        if not self.is_over(now) or not self._is_refused:
            return Denial("undecided", **seen)
        if self._last == -inf:
            first = min(sighting.received for sighting in since)
            return Denial("denied", off=first - self.revoked + self.off, **seen)
        until = _next_refusal(since, self._last, alone=uneven)
        delay = (self._last + until) / 2 - self.revoked
        return Denial("denied", delay, (until - self._last) / 2 + self.off, **seen)


def _contradicted(since: list[Sighting]) -> tuple[bool, bool]:
    """Whether one was let in after a refusal that had come: on any connection, and on its own."""
    refusals = [sighting for sighting in since if sighting.what == "refused"]
    heard: dict[int, float] = {}
    for refusal in refusals:
        heard[refusal.connection] = min(heard.get(refusal.connection, inf), refusal.received)
    first = min(heard.values(), default=inf)
    let_in = [sighting for sighting in since if sighting.what == "let in"]
    return (
        any(sighting.sent >= first for sighting in let_in),
        any(sighting.sent >= heard.get(sighting.connection, inf) for sighting in let_in),
    )


def _next_refusal(since: list[Sighting], last: float, *, alone: bool) -> float:
    """When the refusal came that ended what was let in last: ``alone`` on its own connection."""
    connections = {
        sighting.connection
        for sighting in since
        if sighting.sent == last and sighting.what == "let in"
    }
    refusals = [sighting for sighting in since if sighting.what == "refused"]
    own = [
        refusal.received
        for refusal in refusals
        if refusal.sent > last and refusal.connection in connections
    ]
    if alone and own:
        return min(own)
    return min(refusal.received for refusal in refusals if refusal.received > last)


@dataclass
class DenialTally:
    """Of one kind: how many were watched, what became of them, and the delays in seconds."""

    watched: int = 0
    denied: int = 0
    late: int = 0
    undecided: int = 0
    uneven: int = 0
    came_back: int = 0
    off: float = 0.0
    delays: Histogram = field(default_factory=Histogram)

    def add(self, denial: Denial) -> None:
        """Count one."""
        self.watched += 1
        setattr(self, denial.outcome, getattr(self, denial.outcome) + 1)
        self.uneven += denial.uneven
        self.came_back += denial.came_back
        if denial.outcome == "denied":
            self.off = max(self.off, denial.off)
            self.delays.record(max(denial.delay, 0.0))

    def merge(self, other: DenialTally) -> None:
        """Add what another one counted."""
        for name in COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.off = max(self.off, other.off)
        self.delays.merge(other.delays)

    def pack(self) -> list[Any]:
        """What a worker sends of it."""
        return [[getattr(self, name) for name in COUNTS], self.off, self.delays.pack()]

    @classmethod
    def unpack(cls, packed: list[Any]) -> DenialTally:
        """The same again on the master; ValueError where it does not add up."""
        counts, off, delays = packed
        tally = cls(**dict(zip(COUNTS, counts, strict=True)), off=off)
        tally.delays = Histogram.unpack(delays)
        if tally.watched != tally.denied + tally.late + tally.undecided or (
            tally.delays.count != tally.denied
        ):
            raise ValueError("the revocations do not add up")
        return tally

    def document(self) -> dict[str, Any]:
        """As ``load.json`` has it; milliseconds, null where nothing was denied in time."""
        p50, p95 = self.delays.percentiles([50, 95])
        times = {"p50": p50, "p95": p95, "max": self.delays.maximum, "off": self.off}
        return {
            **{name: getattr(self, name) for name in COUNTS},
            "delay_ms": {name: round(1000 * value, 2) for name, value in times.items()}
            if self.denied
            else None,
        }


#: What is counted, in the order of a worker's report.
COUNTS = ("watched", "denied", "late", "undecided", "uneven", "came_back")


class Denials:
    """All revocations of one worker, or of all of them on the master, by kind."""

    def __init__(self) -> None:
        self._all: dict[str, DenialTally] = {}
        self._untold: dict[str, DenialTally] = {}
        self._why_not: dict[str, str] = {}

    def add(self, kind: str, denial: Denial) -> None:
        """Count one of these `KINDS`."""
        for tallies in (self._all, self._untold):
            tallies.setdefault(kind, DenialTally()).add(denial)

    def not_watched(self, kind: str, why: str) -> None:
        """Note why one could not be watched; it is told where none of its kind was."""
        self._why_not[kind] = why

    def take(self) -> dict[str, dict[str, Any]]:
        """What is new since the last call, and why some were not watched, for `merge`."""
        untold, self._untold = self._untold, {}
        return {
            "kinds": {kind: tally.pack() for kind, tally in untold.items()},
            "why_not": dict(self._why_not),
        }

    def merge(self, delta: Mapping[str, Mapping[str, Any]]) -> None:
        """Add what a worker has told."""
        tallies = {kind: DenialTally.unpack(packed) for kind, packed in delta["kinds"].items()}
        for kind, tally in tallies.items():
            self._all.setdefault(kind, DenialTally()).merge(tally)
        self._why_not |= delta["why_not"]

    def document(self, bound: float) -> dict[str, Any]:
        """As ``load.json`` has it: the bound in seconds, the kinds that were watched, and of each
        other one why not.
        """
        kinds = [
            {"kind": kind, "credential": credential, **self._all[kind].document()}
            for kind, credential in KINDS.items()
            if kind in self._all
        ]
        why_not = [
            {"kind": kind, "why": self._why_not.get(kind, "the run was over before")}
            for kind in KINDS
            if kind not in self._all
        ]
        return {"bound_s": bound, "kinds": kinds, "not_watched": why_not}
