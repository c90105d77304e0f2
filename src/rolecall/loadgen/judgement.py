"""What a load run proves: its verdict, and the sentences that it rests on.

Three questions, in this order. Did a violation occur? Then the run is missed, however it went. Is
the run void, because something broke on our side or its accounts do not add up? Then it proves no
more. Was this side able to offer the load, and to see what came of it? Where it was not, the run is
missed only by an objective that had not held even if everything it did not send, or may have
disturbed, had been perfect; else it is invalid.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rolecall.loadgen import generator_limits
from rolecall.loadgen.objectives import Objective, Verdict, beyond_doubt, judge, verdict
from rolecall.report.judged import observed
from rolecall.report.load_errors import PAGE
from rolecall.wording import counted

#: How the rows of log-ins begin.
LOG_IN = "issue"


@dataclass(frozen=True)
class Judgement:
    """The verdict, its sentences (``reasons``) and each objective's result, as in ``load.json``."""

    verdict: Verdict
    reasons: list[str]
    objectives: list[dict[str, Any]]

    @classmethod
    def of(
        cls,
        measured: Mapping[str, Any],
        objectives: Sequence[Objective],
        *,
        violations: int,
        void: Sequence[str],
        closed: bool,
        shut_out: Collection[tuple[str, int]] = (),
        beside: int = 0,
    ) -> Judgement:
        """Judge what `Totals.document` says.

        Args:
            violations: how many were seen, by workers and over all of them.
            void: what broke on our side, as sentences.
            closed: whether clients waited for their answers before they sent again, so that a pause
                of theirs made the load smaller.
            shut_out: the accounts that were never let in: e-mail, and status of the refusal.
            beside: requests beside the load, which a limit of the target's counts as well.
        """
        judged = judge(objectives, measured)
        failed = [row for row in judged if not row["held"]]
        beyond: list[Objective] = []
        limited: list[str] = []
        if not void:
            beyond = beyond_doubt(
                objectives,
                _without(measured, shut_out),
                slow=any(generator_limits.slow(measured, objectives)),
            )
            limited = [*_limited(measured, objectives, closed=closed, beside=beside)]
            if failed and not beyond and not limited:
                limited = [*_shut_out(shut_out, failed), *_disturbed(measured, failed)]
        texts = {objective.text for objective in beyond}
        said = [
            _sentence(row) for row in failed if row["objective"] in texts or not (void or limited)
        ]
        word = verdict(judged, violations, void, limited, beyond=bool(beyond))
        return cls(word, [*void, *said, *limited], judged)


def _limited(
    measured: Mapping[str, Any], objectives: Sequence[Objective], *, closed: bool, beside: int
) -> Iterator[str]:
    """Sentences on why the run says nothing of the server under this load, though nothing broke."""
    yield from generator_limits.of_the_answers(measured)
    yield from _unknown_names(measured, objectives)
    if measured["dropped"]:
        yield (
            f"{counted(measured['dropped'], 'arrival')} dropped, no client was free to send them: "
            "raise --in-flight"
        )
    yield from generator_limits.of_the_generator(measured, objectives)
    if closed:
        yield from generator_limits.of_a_closed_loop(measured)
    throttled, requests = measured["throttled"], measured["requests"]
    is_asked_for = any(
        objective.measure == "throttled" and not objective.request for objective in objectives
    )
    if generator_limits.MOST_THROTTLED * requests < throttled < requests and not is_asked_for:
        what = (
            f"{beside:,} more were sent beside the load, which its limit counts as well: raise the "
            "limit for this run"
            if beside > requests
            else "lower the rate"
        )
        yield (
            f"{throttled:,} of {requests:,} requests were answered 429: the server was hardly "
            f"under the load that was asked for; {what}, or say how many may be turned away "
            '(--slo "throttled<90%")'
        )


def _unknown_names(measured: Mapping[str, Any], objectives: Sequence[Objective]) -> Iterator[str]:
    """Sentences on objectives of requests that were not made, since the name may be misspelt."""
    names = dict.fromkeys(row["name"] for row in measured["entries"])
    for objective in objectives:
        if names and objective.request and objective.request not in names:
            yield (
                f"{objective.text}: no request is called {objective.request!r}; there were "
                f"{', '.join(names)}"
            )


def _without(
    measured: Mapping[str, Any], shut_out: Collection[tuple[str, int]]
) -> Mapping[str, Any]:
    """What was measured without the refused log-ins of accounts that were never let in.

    Their passwords may be wrong. No other refusal of that kind is excused with them: one of a user
    who was let in before is a violation.
    """
    statuses = {text for _, status in shut_out for text in (str(status), f"{status}{PAGE}")}
    if not statuses:
        return measured
    errors, entries = Counter(measured["errors"]), []
    for row in measured["entries"]:
        is_log_in = row["name"].startswith(LOG_IN)
        excused = {
            kind: count for kind, count in row["errors"].items() if is_log_in and kind in statuses
        }
        errors.subtract(excused)
        entries.append({**row, "errors": dict(+(Counter(row["errors"]) - Counter(excused)))})
    return {**measured, "errors": dict(+errors), "entries": entries}


def failed_by_shut_out(
    measured: Mapping[str, Any],
    objectives: Sequence[Objective],
    shut_out: Collection[tuple[str, int]],
) -> list[str]:
    """A sentence where objectives of errors hold but for the log-ins of accounts that were never
    let in (as `Judgement.of` has them).
    """
    failed = [row for row in judge(objectives, measured) if not row["held"]]
    rest = [row for row in judge(objectives, _without(measured, shut_out)) if not row["held"]]
    return [] if rest else [*_shut_out(shut_out, failed)]


def _shut_out(
    shut_out: Collection[tuple[str, int]], failed: Sequence[Mapping[str, Any]]
) -> Iterator[str]:
    """A sentence where wrong passwords may be why objectives of errors did not hold."""
    texts = [row["objective"] for row in failed if "errors" in row["objective"]]
    if shut_out and texts:
        first, *others = sorted({email for email, _ in shut_out})
        who = f"{first} and {len(others):,} more were" if others else f"{first} was"
        yield (
            f"{who} never let in: look at the passwords; without their log-ins "
            f"{' and '.join(texts)} might have held"
        )


def _disturbed(measured: Mapping[str, Any], failed: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A sentence where pauses of this side may be why objectives did not hold."""
    pauses = measured["pauses"]
    if pauses["requests"]:
        yield (
            f"the generator was at a standstill for up to {pauses['longest_ms']:,.0f} ms: without "
            f"the {pauses['requests']:,} requests "
            f"that this may have disturbed, {' and '.join(row['objective'] for row in failed)} "
            "might have held"
        )


def _sentence(judged: Mapping[str, Any]) -> str:
    return f"{judged['objective']} did not hold: {observed(judged)}"
