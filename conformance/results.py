"""From finished tests to a verdict: outcomes of cells and requirements, findings in the order of their causes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from rolecall.conformance.tables import API_KEY, Cell, Requirement, Specification
from rolecall.errors import ExitCode
from rolecall.evidence import Exchange, Pieces
from rolecall.outcomes import Outcome

#: When the tests of one requirement end differently, the first of these decides.
_WORST_FIRST = (Outcome.ERROR, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.PASSED, Outcome.NOT_TESTED)


@dataclass
class TestResult:
    """What became of one test."""

    name: str
    requirement: str
    outcome: Outcome
    reason: str = ""
    expected: str = ""
    actual: str = ""
    look_at: str = ""
    cell: Cell | None = None
    seconds: float = 0.0
    tries: int = 1
    evidence: Pieces = field(default_factory=Pieces)
    shown_by: Exchange | None = None

    __test__ = False  # a name that pytest would otherwise collect


@dataclass
class Verdict:
    """The end of a run, ready to be written: ``word`` is conformant, not-conformant or inconclusive."""

    word: str
    exit_code: ExitCode
    reasons: list[str]


def order_of(requirements: Mapping[str, Requirement]) -> list[str]:
    """The ids such that what a failure may follow from comes first; otherwise as the table has them."""
    sorter = TopologicalSorter({id: [d for d in entry.depends if d in requirements] for id, entry in requirements.items()})
    sorter.prepare()
    position = {id: index for index, id in enumerate(requirements)}
    order: list[str] = []
    ready: list[str] = list(sorter.get_ready())
    while ready:
        ready.sort(key=position.__getitem__)
        first = ready.pop(0)
        order.append(first)
        sorter.done(first)
        ready += sorter.get_ready()
    return order


def outcome_of(results: Iterable[TestResult]) -> Outcome:
    """The outcome of several tests together; those that were not tested only count when no other was."""
    outcomes = {result.outcome for result in results}
    return next((outcome for outcome in _WORST_FIRST if outcome in outcomes), Outcome.NOT_TESTED)


def requirement_outcomes(spec: Specification, results: Iterable[TestResult]) -> dict[str, tuple[Outcome, list[TestResult]]]:
    """Every requirement with its outcome and its tests, in the order of the table."""
    by_requirement: dict[str, list[TestResult]] = {id: [] for id in spec.requirements}
    for result in results:
        by_requirement[result.requirement].append(result)
    return {id: (outcome_of(tests), tests) for id, tests in by_requirement.items()}


def judge(spec: Specification, results: list[TestResult], selected: bool, left: list[str], aborted: str) -> Verdict:
    """The verdict: conformant only if every deciding requirement was proven.

    Args:
        selected: whether only a part of the suite was run.
        left: what the run created and could not delete.
        aborted: why the run ended early, or an empty string.
    """
    outcomes = requirement_outcomes(spec, results)
    deciding = [
        (spec.requirements[id], outcome, tests) for id, (outcome, tests) in outcomes.items() if spec.requirements[id].decides
    ]
    failed = [entry.id for entry, outcome, _ in deciding if outcome is Outcome.FAILED]
    errors = [entry.id for entry, outcome, _ in deciding if outcome is Outcome.ERROR]
    open_ = [entry.id for entry, outcome, _ in deciding if outcome is Outcome.INCONCLUSIVE]
    untested = [entry.id for entry, outcome, _ in deciding if outcome is Outcome.NOT_TESTED and not entry.capability]
    reasons = [aborted] if aborted else []
    if failed:
        reasons.append(f"{_count(failed, 'requirement')} failed: {_some(failed)}")
    if errors:
        reasons.append(f"the harness broke at {_some(errors)}")
    if open_:
        reasons.append(f"{_count(open_, 'requirement')} could not be decided: {_some(open_)}")
    if untested and selected:
        reasons.append(f"only a part of the suite was selected; {len(untested)} requirements were not looked at")
    elif untested:
        reasons.append(f"{_count(untested, 'requirement')} not proven, because not tested: {_some(untested)}")
    reasons += _not_covered(spec, results)
    if left:
        reasons.append(f"{_count(left, 'thing')} created by this run could not be deleted")
    word = "not-conformant" if failed else "inconclusive" if errors or open_ or untested or aborted else "conformant"
    code = {"not-conformant": ExitCode.FAILED, "inconclusive": ExitCode.INCONCLUSIVE}.get(word, ExitCode.CONFORMANT)
    if errors:
        code = ExitCode.HARNESS_ERROR
    elif left and word != "not-conformant":
        code = ExitCode.LEFT_BEHIND
    return Verdict(word, code, reasons)


def _not_covered(spec: Specification, results: list[TestResult]) -> list[str]:
    """What must be said in so many words, however much else there is: that keys or expiry were not looked at, and why."""
    keys = [r for r in results if r.cell and r.cell.credential == API_KEY and r.outcome is Outcome.NOT_TESTED]
    reasons = [f"API keys were not tested: {keys[0].reason}"] if keys else []
    expiry = [r for r in results if spec.requirements[r.requirement].feature == "Expiry"]
    if expiry and all(r.outcome is Outcome.NOT_TESTED for r in expiry):
        why, _ = Counter(r.reason for r in expiry).most_common(1)[0]
        reasons.append(f"expiry was not proven: {why}")
    return reasons


def findings(spec: Specification, results: list[TestResult]) -> list[TestResult]:
    """The failed tests of deciding requirements: causes before what may follow from them."""
    position = {id: index for index, id in enumerate(order_of(spec.requirements))}
    failed = [r for r in results if r.outcome is Outcome.FAILED and spec.requirements[r.requirement].decides]
    return sorted(failed, key=lambda result: position[result.requirement])


def advice(spec: Specification, results: list[TestResult]) -> list[TestResult]:
    """The failed tests of requirements that decide nothing: hardening, in the order of the table."""
    position = {id: index for index, id in enumerate(spec.requirements)}
    failed = [r for r in results if r.outcome is Outcome.FAILED and not spec.requirements[r.requirement].decides]
    return sorted(failed, key=lambda result: position[result.requirement])


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many there are of each outcome."""
    tally = {outcome.value: 0 for outcome in Outcome}
    for outcome in outcomes:
        tally[outcome.value] += 1
    return tally


def _count(things: list[str], noun: str) -> str:
    return f"{len(things)} {noun}{'' if len(things) == 1 else 's'}"


def _some(ids: list[str], most: int = 4) -> str:
    shown = ", ".join(ids[:most])
    return shown if len(ids) <= most else f"{shown} and {len(ids) - most} more"
