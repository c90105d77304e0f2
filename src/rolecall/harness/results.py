"""From finished tests to a verdict: outcomes of requirements, and findings, causes first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import TopologicalSorter

from rolecall.errors import ExitCode
from rolecall.evidence import Exchange, TestEvidence
from rolecall.harness.waiving import UsedWaiver, only_expired
from rolecall.outcomes import Outcome
from rolecall.spec.model import API_KEY, API_KEYS, Cell, Requirement, Specification
from rolecall.wording import counted, first_few

#: When the tests of one requirement end differently, the first of these decides: what was not
#: tested was not proven.
_WORST_FIRST = (
    Outcome.ERROR,
    Outcome.FAILED,
    Outcome.INCONCLUSIVE,
    Outcome.NOT_TESTED,
    Outcome.WAIVED,
    Outcome.PASSED,
    Outcome.NOT_APPLICABLE,
)

#: Cells that were let in, and others that were refused, from which on callers seem to be mixed up.
_MIXED_UP = 3
#: Requirements that a sentence names.
_NAMED = 4


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
    said: str = ""  # by the answer that stood in its way, in the target's words
    capability: str = ""  # whose absence kept it from being tested
    cell: Cell | None = None
    seconds: float = 0.0
    tries: int = 1
    evidence: TestEvidence = field(default_factory=TestEvidence)
    shown_by: Exchange | None = None

    __test__ = False  # a name that pytest would otherwise collect


@dataclass
class Verdict:
    """The end of a run, ready to be written: ``status`` is conformant, not-conformant,
    inconclusive, or part-passed.
    """

    status: str
    exit_code: ExitCode
    reasons: list[str]


def order_of(requirements: Mapping[str, Requirement]) -> list[str]:
    """The ids such that what a failure may follow from comes first; otherwise as the table has
    them.
    """
    sorter = TopologicalSorter(
        {id: [d for d in entry.depends if d in requirements] for id, entry in requirements.items()}
    )
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


def is_excused(result: TestResult, capability: str) -> bool:
    """Whether a test was not tested for want of just the capability that its requirement names: it
    is listed as not covered.
    """
    return (
        result.outcome is Outcome.NOT_TESTED
        and bool(capability)
        and result.capability == capability
    )


def outcome_of(results: Iterable[TestResult], capability: str = "") -> Outcome:
    """The outcome of the tests of one requirement together.

    One that was not tested leaves the whole of it unproven, except where it lacked the
    ``capability`` that the requirement names. What is not applicable says nothing, unless all of
    them are.
    """
    outcomes = {result.outcome for result in results if not is_excused(result, capability)}
    return next((outcome for outcome in _WORST_FIRST if outcome in outcomes), Outcome.NOT_TESTED)


def requirement_outcomes(
    spec: Specification, results: Iterable[TestResult]
) -> dict[str, tuple[Outcome, list[TestResult]]]:
    """Every requirement with its outcome and its tests, in the order of the table."""
    by_requirement: dict[str, list[TestResult]] = {id: [] for id in spec.requirements}
    for result in results:
        by_requirement[result.requirement].append(result)
    return {
        id: (outcome_of(tests, spec.requirements[id].capability), tests)
        for id, tests in by_requirement.items()
    }


def judge(  # More than 40 lines because of what it is given.
    spec: Specification,
    results: list[TestResult],
    selected: bool,
    left: list[str],
    aborted: str,
    waivers: Sequence[UsedWaiver] = (),
) -> Verdict:
    """The verdict: conformant only if the whole suite was run and every deciding requirement was
    proven, or waived; part-passed if all of a selected part was.

    Args:
        selected: whether only a part of the suite was run.
        left: what the run created and could not delete.
        aborted: why the run ended early, or an empty string.
        waivers: what became of the waivers.
    """
    deciding = {
        id: found
        for id, found in requirement_outcomes(spec, results).items()
        if spec.requirements[id].decides
    }
    failed, errors, open_, waived = (
        [id for id, (outcome, _) in deciding.items() if outcome is which]
        for which in (Outcome.FAILED, Outcome.ERROR, Outcome.INCONCLUSIVE, Outcome.WAIVED)
    )
    untested = [
        id
        for id, (outcome, tests) in deciding.items()
        if outcome is Outcome.NOT_TESTED
        and not (tests and _all_excused(tests, spec.requirements[id].capability))
    ]
    proven = not (errors or open_ or untested or aborted or selected)
    status = "not-conformant" if failed else "conformant" if proven else "inconclusive"
    if status == "inconclusive" and selected and not aborted and is_good_part(spec, results):
        status = "part-passed"
    reasons = [
        *([aborted] if aborted else []),
        *_undecided(failed, errors, open_, waived),
        *_mixed_up(results),
        *_not_tested(untested, selected=selected),
        *_not_covered(spec, results),
        *filter(None, (waiver.fault for waiver in waivers)),
    ]
    if left:
        reasons.append(f"{counted(len(left), 'thing')} created by this run could not be deleted")
    code = _exit_code(status, errors, left)
    if any(waiver.fault for waiver in waivers):
        renewable = only_expired(findings(spec, results), waivers)
        code = _exit_code_of_waivers(code, left, renewable=renewable)
    return Verdict(status, code, reasons)


def _undecided(
    failed: list[str], errors: list[str], open_: list[str], waived: list[str]
) -> Iterator[str]:
    """Sentences on the requirements that failed, or were waived, or of which it is not known."""
    if failed:
        yield f"{counted(len(failed), 'requirement')} failed: {_some(failed)}"
    if errors:
        yield f"the harness broke at {_some(errors)}"
    if open_:
        yield f"{counted(len(open_), 'requirement')} could not be decided: {_some(open_)}"
    if waived:
        yield f"{counted(len(waived), 'requirement')} waived: {_some(waived)}"


def _mixed_up(results: Iterable[TestResult]) -> Iterator[str]:
    """The sentence for a target that seems to mix up callers: it let in cells that may not, and
    refused others that may.
    """
    failed = [
        (test.cell, test.shown_by)
        for test in results
        if test.cell and test.shown_by and test.outcome is Outcome.FAILED
    ]
    let_in = sum(not cell.allowed and seen.ok for cell, seen in failed)
    refused = sum(cell.allowed and 400 <= seen.status < 500 for cell, seen in failed)
    if min(let_in, refused) >= _MIXED_UP:
        yield (
            f"{let_in} cells were let in that may not, and {refused} refused that may: where "
            "--concurrency 1 finds neither, requests at the same time get each other's rights"
        )


def _not_tested(untested: list[str], *, selected: bool) -> Iterator[str]:
    """The sentence on the requirements that were not tested, if there are any."""
    if selected:
        yield (
            "only a part of the suite was selected; "
            f"{len(untested)} requirements were not looked at"
        )
    elif untested:
        number = counted(len(untested), "requirement")
        yield f"{number} not proven, because not tested: {_some(untested)}"


def _exit_code(status: str, errors: list[str], left: list[str]) -> ExitCode:
    if errors:
        return ExitCode.HARNESS_ERROR
    if left and status != "not-conformant":
        return ExitCode.LEFT_BEHIND
    return {"not-conformant": ExitCode.FAILED, "inconclusive": ExitCode.INCONCLUSIVE}.get(
        status, ExitCode.CONFORMANT
    )


def _exit_code_of_waivers(code: ExitCode, left: list[str], *, renewable: bool) -> ExitCode:
    """The exit code where a waiver is stale or has expired: a failure that no waiver ever covered
    weighs more, and so does what was left behind.
    """
    if code is ExitCode.FAILED and renewable:
        return ExitCode.LEFT_BEHIND if left else ExitCode.WAIVER
    return ExitCode.WAIVER if code in (ExitCode.CONFORMANT, ExitCode.INCONCLUSIVE) else code


def is_good_part(spec: Specification, results: Iterable[TestResult]) -> bool:
    """Whether the tests of a selected part proved what they are there for: at least one, and none
    of them left it open. Advice that was not followed is no more than that in a part, too.
    """
    outcomes = requirement_outcomes(spec, results)
    tested = {id: found for id, found in outcomes.items() if found[1]}
    return any(outcome is Outcome.PASSED for outcome, _ in tested.values()) and all(
        outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE, Outcome.WAIVED)
        or (outcome is not Outcome.ERROR and not spec.requirements[id].decides)
        or (outcome is Outcome.NOT_TESTED and _all_excused(tests, spec.requirements[id].capability))
        for id, (outcome, tests) in tested.items()
    )


def _all_excused(tests: list[TestResult], capability: str) -> bool:
    return all(is_excused(test, capability) for test in tests)


def _not_covered(spec: Specification, results: list[TestResult]) -> list[str]:
    """What must be said in so many words, however much else there is: what was not looked at, and
    why.

    API keys and expiry have a sentence of their own; everything else that a requirement excuses is
    named with its reason.
    """
    keys = [
        r
        for r in results
        if r.cell and r.cell.credential == API_KEY and r.outcome is Outcome.NOT_TESTED
    ]
    reasons = [f"API keys were not tested: {keys[0].reason}"] if keys else []
    expiry = [r for r in results if spec.requirements[r.requirement].feature == "Expiry"]
    is_unproven = bool(expiry) and all(r.outcome is Outcome.NOT_TESTED for r in expiry)
    if is_unproven:
        why, _ = Counter(r.reason for r in expiry).most_common(1)[0]
        reasons.append(f"expiry was not proven: {why}")
    excused: dict[str, list[TestResult]] = {}
    for result in results:
        entry = spec.requirements[result.requirement]
        is_said = (keys and entry.capability == API_KEYS) or (
            is_unproven and entry.feature == "Expiry"
        )
        if entry.decides and is_excused(result, entry.capability) and not is_said:
            excused.setdefault(entry.capability, []).append(result)
    for tests in excused.values():
        ids = list(dict.fromkeys(test.requirement for test in tests))
        reasons.append(f"not covered: {_some(ids)}: {tests[0].reason}")
    return reasons


def findings(spec: Specification, results: list[TestResult]) -> list[TestResult]:
    """The failed tests of deciding requirements: causes before what may follow from them."""
    position = {id: index for index, id in enumerate(order_of(spec.requirements))}
    failed = [
        r
        for r in results
        if r.outcome is Outcome.FAILED and spec.requirements[r.requirement].decides
    ]
    return sorted(failed, key=lambda result: (position[result.requirement], not result.cell))


def advice(spec: Specification, results: list[TestResult]) -> list[TestResult]:
    """The failed tests of hardening requirements, in the order of the table."""
    position = {id: index for index, id in enumerate(spec.requirements)}
    failed = [
        r
        for r in results
        if r.outcome is Outcome.FAILED and not spec.requirements[r.requirement].decides
    ]
    return sorted(failed, key=lambda result: position[result.requirement])


def counts(outcomes: Iterable[Outcome]) -> dict[str, int]:
    """How many there are of each outcome."""
    tally = {outcome.value: 0 for outcome in Outcome}
    for outcome in outcomes:
        tally[outcome.value] += 1
    return tally


def _some(ids: Sequence[str]) -> str:
    return first_few(ids, _NAMED)
