"""A step of a search: what a server did while a load went on for a few seconds, and what that says of it.

What tells an overload from a busy moment in a few seconds is not a percentile, which depends on how long one looks, but the
backlog: requests that were due and have no answer yet. Below the capacity it comes back to where it was; above, it grows for as
long as the step lasts, and by how much it grows is by how much the rate is too high.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from statistics import stdev
from typing import Any, NamedTuple

#: The share of 429 in all answers from which on a rate is not carried: it is the server's word that this is too much.
THROTTLED = 0.01

#: The backlog grows when it does so by this many standard deviations of what it would do by chance; below one it does not.
_GROWS = 3.0
#: Growth in shares of what was due that no step is long enough to be sure of.
_NOTHING = 0.005


class Slice(NamedTuple):
    """What happened in a short, even part of a step, by the clock: an answer counts where it arrived, not where it was due."""

    due: int
    ok: int
    throttled: int = 0
    failed: int = 0


class Share(NamedTuple):
    """An objective as a share of requests: of ``of``, ``bad`` were, say, later than 250 ms, and ``allowed`` is 1 %.

    Any other objective is a share of one: ``Share("rate>100", bad=0 or 1, of=1, allowed=0.5)``.
    """

    name: str
    bad: int
    of: int
    allowed: float

    @property
    def broken(self) -> bool:
        """Whether the objective did not hold."""
        return self.bad > self.allowed * self.of

    @property
    def limit(self) -> float:
        """How many bad ones are just allowed; where none is, one is too many and none is right, so it is half a request."""
        return max(self.allowed * self.of, 0.5)

    @property
    def strain(self) -> float:
        """How much of what is allowed was used: 1 at the limit."""
        return self.bad / self.limit


@dataclass(frozen=True)
class Step:
    """A while at a constant rate, seen without its warm-up: at least three slices, better ten or more.

    ``waiting`` are the requests that were due but unanswered when the first slice began; the percentiles are response times
    in seconds; ``objectives`` are shares of what was due in the slices, awaited to the end; ``generator`` says, if it is so, how
    this machine was too slow to offer the rate.
    """

    rate: float
    seconds: float
    slices: Sequence[Slice]
    waiting: int = 0
    p50: float | None = None
    p99: float | None = None
    objectives: Sequence[Share] = ()
    violations: int = 0
    generator: str = ""

    @property
    def due(self) -> int:
        """Requests that were due."""
        return sum(it.due for it in self.slices)

    @property
    def ok(self) -> int:
        """Good answers."""
        return sum(it.ok for it in self.slices)

    @property
    def throttled(self) -> int:
        """Answers of 429."""
        return sum(it.throttled for it in self.slices)

    @property
    def failed(self) -> int:
        """Everything else that ended without a good answer."""
        return sum(it.failed for it in self.slices)

    @property
    def throughput(self) -> float:
        """Good answers per second."""
        return self.ok / self.seconds

    @property
    def offered(self) -> float:
        """Requests that were due per second: with random arrivals not quite the rate that was asked for."""
        return self.due / self.seconds

    @property
    def ended(self) -> list[int]:
        """Requests that ended, one way or another, in each slice."""
        return [it.ok + it.throttled + it.failed for it in self.slices]

    @property
    def backlog(self) -> list[int]:
        """Requests that were due but unanswered: at the beginning, and at the end of every slice."""
        return list(accumulate((it.due - ended for it, ended in zip(self.slices, self.ended, strict=True)), initial=self.waiting))


class Verdict(StrEnum):
    """What a step says of its rate."""

    HELD = "held"
    UNCLEAR = "unclear"
    FAILED = "failed"
    VIOLATED = "violated"
    GENERATOR = "generator"


@dataclass(frozen=True)
class Judgement:
    """A step and what it says.

    ``growth`` is how much longer the backlog got, as a share of what was due, give or take ``error``; ``excess`` is the share that
    the server did not carry: growth and, where it refused more than it may, that. ``strain`` is the objective that came nearest
    to its limit, or went beyond; ``saturated`` is a step in which the server was never without a backlog.
    """

    step: Step
    verdict: Verdict
    why: str = ""
    growth: float = 0.0
    error: float = 0.0
    excess: float = 0.0
    strain: Share | None = None
    saturated: bool = False

    @property
    def growing(self) -> bool:
        """Whether the backlog grew by more than chance."""
        return self.growth > _GROWS * self.error

    @property
    def usable(self) -> bool:
        """Whether this says anything of the server's capacity."""
        return self.verdict not in {Verdict.VIOLATED, Verdict.GENERATOR}

    def document(self) -> dict[str, Any]:
        """A step in ``capacity.json``."""
        step = self.step
        return {
            "rate": round(step.rate, 3),
            "seconds": round(step.seconds, 3),
            "verdict": str(self.verdict),
            "why": self.why,
            "scheduled": step.due,
            "throughput": round(step.throughput, 3),
            "errors": step.failed,
            "throttled": step.throttled,
            "violations": step.violations,
            "p50_ms": milliseconds(step.p50),
            "p99_ms": milliseconds(step.p99),
            "backlog_growth": round(self.growth, 5),
        }


def judge(step: Step, latency: float) -> Judgement:
    """Judge a step; ``latency`` is the response time, in seconds, of a server that has nothing else to do."""
    if step.violations:
        return Judgement(step, Verdict.VIOLATED, f"{step.violations} violations")
    if step.generator:
        return Judgement(step, Verdict.GENERATOR, step.generator)
    backlog, ended = step.backlog, step.ended
    changes = [later - earlier for earlier, later in pairwise(backlog)]
    idle = step.offered * latency  # what is under way without any queue (Little's law)
    saturated = min(backlog) > 1.5 * idle + 2 * stdev(changes) + 1
    # Where there is always a backlog, only the server's pace is left to chance: how many came is known. Half a request is the
    # moment at which one looked.
    noise = max(stdev([it.ok for it in step.slices] if saturated else changes), 0.5) * math.sqrt(len(changes))
    due = max(step.due, 1)
    growth, error = (backlog[-1] - backlog[0]) / due, noise / due
    shares = [*step.objectives, Share(f"throttled<{THROTTLED:.0%}", step.throttled, sum(ended), THROTTLED)]
    strain = max(shares, key=lambda share: share.strain)
    growing = growth > _GROWS * error
    why = [f"the backlog grew from {backlog[0]} to {backlog[-1]}"] if growing else []
    why += [f"not {share.name}" for share in shares if share.broken]
    unclear = growth > max(error, _NOTHING)
    verdict = Verdict.FAILED if why else Verdict.UNCLEAR if unclear else Verdict.HELD
    refused = (step.throttled + step.failed) / due if strain.broken else 0.0
    return Judgement(step, verdict, ", ".join(why), growth, error, growth + refused, strain, saturated)


def knee(steps: Sequence[Judgement]) -> Step | None:
    """The step with the most power, throughput by response time (Kleinrock 1979): beyond it, waiting costs more than it brings."""
    usable = [it.step for it in steps if it.usable and it.step.p50]
    return max(usable, key=lambda step: step.throughput / (step.p50 or math.inf), default=None)


def significant(value: float | None) -> float | None:
    """A figure with five digits, for a document."""
    return None if value is None else float(f"{value:.5g}")


def milliseconds(seconds: float | None) -> float | None:
    """Seconds as a document has them."""
    return None if seconds is None else round(seconds * 1000, 3)
