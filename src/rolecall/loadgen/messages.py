"""What a load master and its workers say to each other.

The master says `Prepare`, which a worker answers with `Ready` when its clients are; then, for each
segment of load, `Go`, which it answers with a `Report` a second, the last of which is marked; `End`
ends a segment early, or one without a schedule.

On the wire a message is its `pack`: a mapping of numbers, texts, bytes, lists and mappings. There
is no authentication on Locust's wire, so whatever comes from there is read by `unpack`, which
raises `UnreadableValue` where a type or a bound does not fit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import inf
from typing import Any, ClassVar, Self

from rolecall.errors import ExitCode
from rolecall.loadgen.checks.denials import COUNTS, DenialTally
from rolecall.loadgen.checks.denials import KINDS as DENIED
from rolecall.loadgen.checks.violations import KINDS, MOST_SAMPLES
from rolecall.loadgen.client_context import SAMPLED
from rolecall.loadgen.scenarios import NAMES
from rolecall.loadgen.schedule import Schedule
from rolecall.loadgen.untrusted import (
    UnreadableValue,
    counts,
    flag,
    mapping,
    number,
    sequence,
    text,
    whole,
)

_MOST_WORKERS = 10_000
#: Clients that a worker is asked to make beforehand, at most; it makes no more than --in-flight.
MOST_CLIENTS = 10_000_000
_DAY = 86_400.0  # seconds
#: Bytes of a token's fingerprint and its owner, or of a user and its account (`seen_tokens.pairs`).
_PAIR = 16
_EXIT_CODES = frozenset(ExitCode)
#: Exit codes that say something of the server, which a worker that cannot begin does not.
_ON_THE_SERVER = frozenset({ExitCode.CONFORMANT, ExitCode.FAILED})


@dataclass(frozen=True)
class Message:
    """A message; ``kind`` is its name on the wire."""

    kind: ClassVar[str]

    def pack(self) -> dict[str, Any]:
        """The members by name."""
        return {member.name: getattr(self, member.name) for member in fields(self)}

    @classmethod
    def _members(cls, packed: object) -> Mapping[str, Any]:
        """The members of a message as it came, none of which is missing."""
        members = mapping("it", packed)
        for member in fields(cls):
            if member.name not in members:
                raise UnreadableValue(f"{member.name} is missing")
        return members


@dataclass(frozen=True)
class Prepare(Message):
    """The master's order to a worker: read the target, make clients and log them in.

    Attributes:
        scenario: one of `scenarios.NAMES`.
        clients: number of clients made beforehand; 0 in a closed loop.
        index: which of the ``workers`` this is, from 0.
        options: those that all workers share, and the host; `orders.taken` checks each.
    """

    kind: ClassVar[str] = "prepare"

    scenario: str
    clients: int
    index: int
    workers: int
    options: Mapping[str, Any]

    @classmethod
    def unpack(cls, packed: object) -> Self:
        """The order as a master of this version sends it."""
        members = cls._members(packed)
        if not isinstance(members["scenario"], str) or members["scenario"] not in NAMES:
            raise UnreadableValue("scenario is unknown here")
        return cls(
            scenario=members["scenario"],
            clients=whole("clients", members["clients"], 0, MOST_CLIENTS),
            **_place(members),
            options=mapping("options", members["options"]),
        )


@dataclass(frozen=True)
class Ready(Message):
    """A worker's answer to `Prepare`: ``error`` is empty, or says why it cannot begin."""

    kind: ClassVar[str] = "ready"

    error: str = ""
    exit_code: ExitCode = ExitCode.CONFORMANT

    def pack(self) -> dict[str, Any]:
        """The members by name, the exit code as its number."""
        return super().pack() | {"exit_code": int(self.exit_code)}

    @classmethod
    def unpack(cls, packed: object) -> Self:
        """The answer; one that fails and says at once that all is well is none."""
        members = cls._members(packed)
        error, code = text("error", members["error"]), whole("exit_code", members["exit_code"])
        if code not in _EXIT_CODES or (error and code in _ON_THE_SERVER):
            raise UnreadableValue("exit_code is not that of a worker")
        return cls(error, ExitCode(code))


@dataclass(frozen=True)
class Go(Message):
    """The master begins a segment.

    Attributes:
        number: of the segment, which its reports repeat.
        delay: seconds from now to the start.
        width: seconds of the slices of time in which it is measured.
        schedule: when requests are due; None in a closed loop, which lasts until `End`.
        grace: seconds that those under way have after the last arrival.
        abandon: whether arrivals that wait for a client then are given up; else they are sent.
        index: which of the ``workers`` this is, from 0.
    """

    kind: ClassVar[str] = "go"

    number: int
    delay: float
    width: float
    schedule: Schedule | None
    grace: float
    abandon: bool
    index: int
    workers: int

    def pack(self) -> dict[str, Any]:
        """The members by name, the schedule packed."""
        return super().pack() | {"schedule": self.schedule.pack() if self.schedule else None}

    @classmethod
    def unpack(cls, packed: object) -> Self:
        """The segment as a master of this version sends it."""
        members = cls._members(packed)
        schedule = members["schedule"]
        return cls(
            number=whole("number", members["number"]),
            delay=number("delay", members["delay"], 0, _DAY),
            width=number("width", members["width"], 0.001, _DAY),
            schedule=None if schedule is None else Schedule.unpack(schedule),
            grace=number("grace", members["grace"], 0, _DAY),
            abandon=flag("abandon", members["abandon"]),
            **_place(members),
        )

    @staticmethod
    def number_of(packed: object) -> int:
        """The segment of a message that cannot be read otherwise; 0, which is none, without one."""
        number = packed.get("number") if isinstance(packed, Mapping) else None
        return number if isinstance(number, int) else 0


@dataclass(frozen=True)
class End(Message):
    """The master ends a segment: steps under way have ``grace`` seconds, at most those of `Go`."""

    kind: ClassVar[str] = "end"

    grace: float = inf

    @classmethod
    def unpack(cls, packed: object) -> Self:
        """The end as a master of this version sends it."""
        return cls(number("grace", cls._members(packed)["grace"], 0, inf))


@dataclass(frozen=True)
class Report(Message):
    """What is new at a worker since its last report.

    Attributes:
        number: of the segment.
        measured: `Recorder.take`, which `Delta.read` reads; None where nothing is told.
        violations: `Violations.take`.
        seen: `Invariants.take`, with ``measured``.
        races: `Races.take`, with ``measured``.
        denials: `Denials.take`; with the last report as well.
        sampled: what the sampling tried, and left at the target, by the names of `SAMPLED`.
        refused: `Invariants.refused`.
        beside: requests beside the load.
        accounts: that took part so far in this segment.
        last: whether no report follows in this segment.
        away: seconds that it stood still, if they were too many to go on.
        error: what broke on this side; empty if nothing did.
    """

    kind: ClassVar[str] = "report"

    number: int
    measured: Mapping[str, Any] | None = None
    violations: Mapping[str, Any] | None = None
    seen: Mapping[str, bytes] | None = None
    races: Mapping[str, Any] | None = None
    denials: Mapping[str, Any] | None = None
    sampled: Mapping[str, list[str]] | None = None
    refused: Mapping[str, int] = field(default_factory=dict)
    beside: int = 0
    accounts: int = 0
    last: bool = False
    away: float = 0.0
    error: str = ""

    @classmethod
    def unpack(cls, packed: object) -> Self:
        """The report, but for what was measured: `Delta.read` reads that as a whole."""
        members = cls._members(packed)
        measured = members["measured"]
        is_news = measured is not None
        return cls(
            number=whole("number", members["number"]),
            measured=mapping("measured", measured) if is_news else None,
            violations=_violations(members["violations"]) if is_news else None,
            seen=_seen(members["seen"]) if is_news else None,
            races=_races(members["races"]) if is_news else None,
            denials=_denials(members["denials"]),
            sampled=_sampled(members["sampled"]),
            refused=counts("refused", members["refused"]),
            beside=whole("beside", members["beside"]),
            accounts=whole("accounts", members["accounts"]),
            last=flag("last", members["last"]),
            away=number("away", members["away"]),
            error=text("error", members["error"]),
        )


def _place(members: Mapping[str, Any]) -> dict[str, int]:
    """Which of how many workers one is."""
    workers = whole("workers", members["workers"], 1, _MOST_WORKERS)
    return {"index": whole("index", members["index"], 0, workers - 1), "workers": workers}


def _violations(value: object) -> Mapping[str, Any]:
    what = "violations"
    delta = mapping(what, value)
    counts(what, delta.get("counts", {}), KINDS)
    samples = delta.get("samples", ())
    for sample in sequence(what, samples, most=MOST_SAMPLES * len(KINDS)):
        kind, message, exchange, at = sequence(what, sample, length=4)
        if text(what, kind) not in KINDS:
            raise UnreadableValue(f"{what} has a kind that is unknown here")
        text(what, message)
        text(what, exchange)
        number(what, at, -_DAY)
    return delta


def _seen(value: object) -> Mapping[str, bytes]:
    delta = mapping("seen", value)
    for name in ("tokens", "refresh_tokens", "users"):
        found = delta.get(name)
        if not isinstance(found, bytes) or len(found) % _PAIR:
            raise UnreadableValue(f"seen has no pairs of {name}")
    return delta


def _races(value: object) -> Mapping[str, Any]:
    what = "races"
    delta = mapping(what, value)
    single_use, shortest, longest = sequence(what, delta.get("policies"), length=3)
    flag(what, single_use)
    number(what, shortest, 0, inf)
    number(what, longest, -inf, inf)
    for history in mapping(what, delta.get("witnesses")).values():
        text(what, history)
    for row in sequence(what, delta.get("races")):
        winners, times = sequence(what, row, length=2)
        whole(what, winners)
        whole(what, times)
    return delta


def _denials(value: object) -> Mapping[str, Any] | None:
    if value is None:
        return None
    what = "denials"
    delta = mapping(what, value)
    kinds, why_not = (mapping(what, delta.get(name)) for name in ("kinds", "why_not"))
    if not kinds.keys() | why_not.keys() <= set(DENIED):
        raise UnreadableValue(f"{what} has a kind that is unknown here")
    for row in kinds.values():
        numbers, off, delays = sequence(what, row, length=3)
        for count in sequence(what, numbers, length=len(COUNTS)):
            whole(what, count)
        number(what, off)
        if not isinstance(delays, bytes):
            raise UnreadableValue(f"{what} has no delays")
        try:
            DenialTally.unpack(row)
        except ValueError as error:
            raise UnreadableValue(f"{what}: {error}") from None
    for why in why_not.values():
        text(what, why)
    return delta


def _sampled(value: object) -> Mapping[str, list[str]] | None:
    if value is None:
        return None
    found = mapping("sampled", value)
    if not found.keys() <= set(SAMPLED):
        raise UnreadableValue("sampled has a name that is unknown here")
    return {
        name: [text("sampled", thing) for thing in sequence("sampled", things)]
        for name, things in found.items()
    }
