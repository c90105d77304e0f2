"""A step of a search: a few seconds of load, and what they say of the server.

What tells an overload from a busy moment in a few seconds is not a percentile, which depends on how
long one looks, but the backlog: requests that were due and have no answer yet. Below the capacity
it comes back to where it was; above, it grows for as long as the step lasts, and by how much it
grows is by how much the rate is too high.

Longer than 400 lines because the definitions of a step are read together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from statistics import stdev
from typing import Any, NamedTuple

from rolecall.loadgen.capacity import chance
from rolecall.wording import counted

#: The share of 429 in all answers from which on a rate is not carried: it is the server's word that
#: this is too much.
THROTTLED = 0.01

#: The backlog grows when it does so by this many standard deviations of what it would do by chance;
#: below one it does not.
_GROWS = 3.0
#: Growth in shares of what was due that no step is long enough to be sure of.
_NOTHING = 0.0075
#: Slices after the first 429 that it takes to say what a limiter lets through.
_ENOUGH = 3
#: The share of all good answers by which they may run ahead of a limiter's pace, or fall behind it,
#: where there is one pace.
_UNEVEN = 0.05


class Slice(NamedTuple):
    """A short, even part of a step; an answer counts where it arrived, not where it was due."""

    due: int
    ok: int
    throttled: int = 0
    failed: int = 0


class Share(NamedTuple):
    """An objective as a share of requests: of ``of``, ``bad`` were, say, later than 250 ms, and
    ``allowed`` is 1 %.

    Bad ones come in clumps, of the size ``clump``. Any other objective is a share of one, and no
    sample of anything: ``Share("max<5s", bad=0 or 1, of=1, allowed=0.5)``.
    """

    name: str
    bad: int
    of: int
    allowed: float
    clump: float = 1.0

    @property
    def broken(self) -> bool:
        """Whether the objective did not hold, be it by chance."""
        return self.bad > self.allowed * self.of

    @property
    def failed(self) -> bool:
        """Whether it did not hold, and chance does not explain it."""
        return self.broken and (
            self.of == 1
            or chance.tail(self.bad, self.of, self.allowed, self.clump) < chance.UNLIKELY
        )

    @property
    def error(self) -> float:
        """By how much the share of bad ones may be off, by chance (a standard deviation)."""
        return math.sqrt(self.bad * self.clump) / max(self.of, 1)

    @property
    def limit(self) -> float:
        """How many bad ones are allowed; half a request where none is."""
        return max(self.allowed * self.of, 0.5)

    @property
    def strain(self) -> float:
        """How much of what is allowed was used: 1 at the limit."""
        return self.bad / self.limit


@dataclass(frozen=True)
class Step:
    """A while at a constant rate, seen without its warm-up: at least three slices, better ten or
    more.

    ``waiting`` are the requests that were due but unanswered when the first slice began; the
    percentiles are response times in seconds; ``objectives`` are shares of what was due in the
    slices, awaited to the end; ``generator`` says, if it is so, how this machine was too slow to
    offer the rate; ``left`` are the requests, also after the slices, that were given up without an
    answer.
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
    left: int = 0

    @property
    def due(self) -> int:
        """Requests that were due."""
        return sum(part.due for part in self.slices)

    @property
    def ok(self) -> int:
        """Good answers."""
        return sum(part.ok for part in self.slices)

    @property
    def throttled(self) -> int:
        """Answers of 429."""
        return sum(part.throttled for part in self.slices)

    @property
    def failed(self) -> int:
        """Everything else that ended without a good answer."""
        return sum(part.failed for part in self.slices)

    @property
    def throughput(self) -> float:
        """Good answers per second."""
        return self.ok / self.seconds

    @property
    def offered(self) -> float:
        """Requests due per second; random arrivals differ a little from the rate asked for."""
        return self.due / self.seconds

    @property
    def ended(self) -> list[int]:
        """Requests that ended, one way or another, in each slice."""
        return [part.ok + part.throttled + part.failed for part in self.slices]

    @property
    def backlog(self) -> list[int]:
        """Requests due but unanswered, at the beginning and at the end of every slice."""
        return list(
            accumulate(
                (part.due - ended for part, ended in zip(self.slices, self.ended, strict=True)),
                initial=self.waiting,
            )
        )


class StepVerdict(StrEnum):
    """What a step says of its rate."""

    HELD = "held"
    UNCLEAR = "unclear"
    FAILED = "failed"
    VIOLATED = "violated"
    GENERATOR = "generator"


@dataclass(frozen=True)
class StepJudgement:
    """A step and what it says.

    ``growth`` is how much longer the backlog got, as a share of what was due, give or take
    ``error``; ``excess`` is the share that the server did not carry, give or take ``doubt``: growth
    and, where it refused more than it may, that. ``strain`` is the objective that came nearest to
    its limit, or went beyond; ``saturated`` is a step in which the server was never without a
    backlog. ``limited`` is one in which 429 set the pace; ``blocks`` one in which they came in
    blocks as long as the step, or so late that it says nothing of the pace; ``closed`` one in which
    nothing was let through any more. ``second`` is when the step began.
    """

    step: Step
    verdict: StepVerdict
    why: str = ""
    growth: float = 0.0
    error: float = 0.0
    excess: float = 0.0
    doubt: float = 0.0
    strain: Share | None = None
    saturated: bool = False
    limited: bool = False
    blocks: bool = False
    closed: bool = False
    second: float = 0.0

    @property
    def growing(self) -> bool:
        """Whether the backlog grew by more than chance."""
        return self.growth > _GROWS * self.error

    @property
    def usable(self) -> bool:
        """Whether this says anything of the server's capacity."""
        return self.verdict not in {StepVerdict.VIOLATED, StepVerdict.GENERATOR} and not self.blocks

    @property
    def held(self) -> bool:
        """Whether the rate was carried."""
        return self.verdict is StepVerdict.HELD

    @property
    def carried(self) -> bool:
        """Whether the objectives held, and the backlog grew no more than a busy server's may."""
        kept = self.strain is None or not self.strain.broken
        return self.held or (
            self.verdict is StepVerdict.UNCLEAR
            and kept
            and self.growth <= max(2 * self.error, _NOTHING)
        )

    @property
    def failed(self) -> bool:
        """Whether the rate was too much, and chance does not explain it."""
        return self.verdict is StepVerdict.FAILED

    @property
    def ascent(self) -> int:
        """For how many slices the backlog rose to where it was longest."""
        backlog = self.step.backlog
        peak = backlog.index(max(backlog))
        foot = backlog[0] + (backlog[peak] - backlog[0]) / 10
        return peak - max((at for at in range(peak) if backlog[at] <= foot), default=0)

    @property
    def dull(self) -> int:
        """In how many slices the server was clearly slower than in its good ones."""
        paces = sorted(part.ok for part in self.step.slices)
        return sum(pace < 0.8 * paces[3 * len(paces) // 4] for pace in paces)

    def document(self) -> dict[str, Any]:
        """A step in ``capacity.json``."""
        step = self.step
        return {
            "second": round(self.second, 1),
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


def judge(step: Step, latency: float) -> StepJudgement:
    """Judge a step; ``latency`` is an idle server's response time in seconds."""
    if step.violations:
        return StepJudgement(step, StepVerdict.VIOLATED, counted(step.violations, "violation"))
    if step.generator:
        return StepJudgement(step, StepVerdict.GENERATOR, step.generator)
    backlog = step.backlog
    growth, error, saturated = _growth(step, latency)
    limiter = _limiter(step)
    shares = [*(_in_clumps(share, step) for share in step.objectives), limiter.share]
    strain = max(shares, key=lambda share: share.strain)
    growing = growth > _GROWS * error
    why = [f"the backlog grew from {backlog[0]} to {backlog[-1]}"] if growing else []
    why += [f"not {share.name}" for share in shares if share.failed]
    unclear = growth > max(error, _NOTHING) or any(share.broken for share in shares)
    verdict = StepVerdict.FAILED if why else StepVerdict.UNCLEAR if unclear else StepVerdict.HELD
    if verdict is StepVerdict.UNCLEAR:
        why = [f"{share.name} may be chance" for share in shares if share.broken]
    refused, doubt = _refused(step, shares, limiter)
    closed = bool(limiter.after) and not sum(part.ok for part in limiter.after[1:])
    uneven = bool(limiter.after) and not closed and _unevenness(limiter.after) > _UNEVEN
    return StepJudgement(
        step,
        verdict,
        ", ".join(why),
        growth,
        error,
        growth + refused,
        math.hypot(error, doubt),
        strain,
        saturated,
        limiter.share.failed,
        (uneven or limiter.late) and not growing,
        closed,
    )


def _in_clumps(share: Share, step: Step) -> Share:
    """An objective, with the size of its clumps where the step's errors break it."""
    is_told = share.clump > 1 or share.of == 1 or share.bad != step.failed
    return (
        share
        if is_told
        else share._replace(clump=chance.clump([part.failed for part in step.slices]))
    )


def _growth(step: Step, latency: float) -> tuple[float, float, bool]:
    """The backlog's growth as a share of what was due, its error, and whether it never ended."""
    backlog = step.backlog
    changes = [later - earlier for earlier, later in pairwise(backlog)]
    idle = step.offered * latency  # what is under way without any queue (Little's law)
    saturated = min(backlog) > 1.5 * idle + 2 * stdev(changes) + 1
    # Where there is always a backlog, only the server's pace is left to chance: how many came is
    # known. Half a request is the moment at which one looked.
    noise = max(
        stdev([part.ok for part in step.slices] if saturated else changes), 0.5
    ) * math.sqrt(len(changes))
    due = max(step.due, 1)
    return (backlog[-1] - backlog[0]) / due, noise / due, saturated


class _Limiter(NamedTuple):
    """What 429 said: their share, and the slices ``after``; ``late`` where they began too late."""

    share: Share
    after: Sequence[Slice] = ()
    late: bool = False


def _limiter(step: Step) -> _Limiter:
    """What 429 said; the slice in which they began counts as before them."""
    began = next((at for at, part in enumerate(step.slices, 1) if part.throttled), len(step.slices))
    after = step.slices[began:]
    paced, whole = _throttled(after), _throttled(step.slices)
    if len(after) < min(_ENOUGH, len(step.slices) / 2):
        return _Limiter(whole, late=whole._replace(clump=1.0).failed)
    if paced.failed or whole.failed:
        return _Limiter(paced if paced.failed else whole, after)
    return _Limiter(whole)


def _throttled(slices: Sequence[Slice]) -> Share:
    throttled = [part.throttled for part in slices]
    ended = sum(part.ok + part.throttled + part.failed for part in slices)
    return Share(
        f"throttled<{THROTTLED:.0%}", sum(throttled), ended, THROTTLED, chance.clump(throttled)
    )


def _unevenness(slices: Sequence[Slice]) -> float:
    """How far good answers ran ahead of, or behind, their mean pace, as a share of all."""
    good = sum(part.ok for part in slices)
    ahead = list(accumulate((part.ok - good / len(slices) for part in slices), initial=0.0))
    return (max(ahead) - min(ahead)) / max(good, 1)


def _refused(step: Step, shares: Sequence[Share], limiter: _Limiter) -> tuple[float, float]:
    """The share that was refused where that is more than may be, with its standard deviation."""
    refused = doubt = 0.0
    due = max(step.due, 1)
    if any(share.broken for share in shares if share is not limiter.share):
        spread = chance.clump([part.failed for part in step.slices])
        refused += step.failed / due
        doubt = math.hypot(
            math.sqrt(step.failed * spread) / due, THROTTLED / 2 if step.failed else 0.0
        )
    if limiter.after:
        # A limiter lets through as many whatever comes: only where in its beat the step ended is
        # left to chance.
        good = sum(part.ok for part in limiter.after) / len(limiter.after)
        arrivals = max(step.due / len(step.slices), good, 1e-9)
        refused += 1 - good / arrivals
        doubt = math.hypot(doubt, _unevenness(limiter.after) / 2 * good / arrivals)
    elif limiter.share.broken:
        refused += limiter.share.bad / max(limiter.share.of, 1)
        doubt = math.hypot(doubt, limiter.share.error)
    return refused, doubt


def keep_together(looks: Sequence[StepJudgement]) -> bool:
    """Whether all these steps together keep each objective."""
    shares = [share for judged in looks for share in judged.step.objectives]
    allowed: dict[str, float] = {}
    for share in shares:
        allowed[share.name] = allowed.get(share.name, 0.0) + share.allowed * share.of - share.bad
    return all(left >= 0 for left in allowed.values())


def knee(steps: Sequence[StepJudgement]) -> Step | None:
    """The step with the most power, throughput by response time (Kleinrock 1979), of those that did
    not fail; None where none was slower: what is beyond it was not seen.
    """
    usable = [(judged, judged.step.p50) for judged in steps if judged.usable and judged.step.p50]
    good = [(it.step, p50) for it, p50 in usable if it.verdict is not StepVerdict.FAILED]
    best, time = max(good, key=lambda found: found[0].throughput / found[1], default=(None, 0.0))
    return best if any(p50 > time for _, p50 in usable) else None


def significant(value: float | None) -> float | None:
    """A figure with five digits, for a document."""
    return None if value is None else float(f"{value:.5g}")


def milliseconds(seconds: float | None) -> float | None:
    """Seconds as a document has them."""
    return None if seconds is None else round(seconds * 1000, 3)
