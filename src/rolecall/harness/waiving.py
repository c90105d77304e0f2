"""Waivers against a run's results: what each covered, and which are of no use any more."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rolecall.outcomes import Outcome
from rolecall.spec.loading import load_specification
from rolecall.waivers import Waiver, Waivers, described, load_waivers
from rolecall.wording import counted

if TYPE_CHECKING:
    from rolecall.harness.results import TestResult

#: What the requirements of the permission table begin with, each of a row.
_ROW = "PERM-"
#: What evidence calls a caller whose cell an answer is: the role, and the kind of credential.
_CALLER = re.compile(r"(\w+) \((token|api-key)\)")
#: By requirement: the tests of the whole suite, each with the name of its cell, or an empty string.
Collected = Mapping[str, Sequence[tuple[str, str]]]


class WaiverState(StrEnum):
    """What became of a waiver in a run."""

    LIVE = "live"
    STALE = "stale"
    EXPIRED = "expired"
    NOT_EXERCISED = "not-exercised"


@dataclass(frozen=True)
class UsedWaiver:
    """A waiver at the end of a run; ``failures`` are the failed tests that it is about."""

    waiver: Waiver
    state: WaiverState
    failures: tuple[str, ...]
    where: str

    @property
    def fault(self) -> str:
        """A sentence on a waiver that has to go, or an empty string."""
        if self.state is WaiverState.EXPIRED:
            still = (
                f"{counted(len(self.failures), 'test')} that it covered failed again"
                if self.failures
                else "delete it, or say until when"
            )
            return (
                f"{self.where}: the waiver of {self.waiver} ended on {self.waiver.until}; {still}"
            )
        if self.state is WaiverState.STALE:
            return (
                f"{self.where}: the waiver of {self.waiver} is not needed any more: all that it "
                "covers was tested, and nothing failed; delete it"
            )
        return ""

    def document(self) -> dict[str, Any]:
        """The entry of ``waivers`` in results.json."""
        return {
            **dict(described(self.waiver)),
            "state": self.state.value,
            "failures": list(self.failures),
        }


def waivers_of_run(path: Path | None) -> Waivers:
    """The waivers in a file, or none, as of today.

    Raises:
        UsageError: as for `load_waivers`.
    """
    if path is None:
        return Waivers()
    spec = load_specification()
    cells: dict[str, list[str]] = {}
    for cell in spec.cells:
        cells.setdefault(spec.operations[cell.operation].requirement, []).append(str(cell))
    decides = {id: entry.decides for id, entry in spec.requirements.items()}
    return load_waivers(path, decides, cells, datetime.fromtimestamp(time.time(), UTC).date())


def waive(result: TestResult, waivers: Waivers) -> None:
    """Let a failure that a live waiver covers be waived; an error of the harness never is."""
    if result.outcome is Outcome.FAILED and _is_live(result, waivers):
        result.outcome = Outcome.WAIVED


def waive_what_follows(results: Sequence[TestResult], waivers: Waivers) -> None:
    """Let be waived what could not be decided because of a waived failure: where a denied read is
    let in, a way around the denial shows nothing.
    """
    waived = {result.requirement for result in results if result.outcome is Outcome.WAIVED}
    for result in results:
        follows = result.outcome is Outcome.INCONCLUSIVE and _row_in_the_way(result) in waived
        if follows and _is_live(result, waivers):
            result.outcome = Outcome.WAIVED


def used_waivers(
    waivers: Waivers, results: Sequence[TestResult], collected: Collected
) -> list[UsedWaiver]:
    """What became of each waiver, in the order of the file."""
    return [
        _used(
            waiver,
            waivers,
            [result for result in results if _is_about(waiver, result)],
            collected,
        )
        for waiver in waivers.entries
    ]


def _used(
    waiver: Waiver, waivers: Waivers, covered: Sequence[TestResult], collected: Collected
) -> UsedWaiver:
    failures = tuple(
        result.name for result in covered if result.outcome in (Outcome.FAILED, Outcome.WAIVED)
    )
    names = {
        name
        for name, cell in collected.get(waiver.requirement, ())
        if waiver.covers(waiver.requirement, cell)
    }
    if waivers.has_expired(waiver):
        state = WaiverState.EXPIRED
    elif failures:
        state = WaiverState.LIVE
    elif _is_exercised(covered, names):
        state = WaiverState.STALE
    else:
        state = WaiverState.NOT_EXERCISED
    return UsedWaiver(waiver, state, failures, f"{waivers.source}, line {waiver.line}")


def _is_exercised(covered: Iterable[TestResult], names: set[str]) -> bool:
    """Whether every test that the suite has for it was decided, and one at least passed."""
    outcomes = {result.name: result.outcome for result in covered}
    return (
        bool(names)
        and names <= outcomes.keys()
        and set(outcomes.values()) <= {Outcome.PASSED, Outcome.NOT_APPLICABLE}
        and Outcome.PASSED in outcomes.values()
    )


def only_expired(results: Iterable[TestResult], used: Iterable[UsedWaiver]) -> bool:
    """Whether every one of these failures was waived before its waiver ended."""
    expired = [entry.waiver for entry in used if entry.state is WaiverState.EXPIRED]
    failed = [result for result in results if result.outcome is Outcome.FAILED]
    return bool(failed) and all(
        any(_is_about(waiver, result) for waiver in expired) for result in failed
    )


def _is_live(result: TestResult, waivers: Waivers) -> bool:
    return any(
        _is_about(waiver, result) and not waivers.has_expired(waiver) for waiver in waivers.entries
    )


def _is_about(waiver: Waiver, result: TestResult) -> bool:
    """Whether a waiver covers a test, or the failure that kept it from being decided."""
    requirement, cells = _subject(result)
    return any(waiver.covers(requirement, cell) for cell in cells)


def _subject(result: TestResult) -> tuple[str, list[str]]:
    """The requirement that a failure in a result is one of, and the names of its cells, of which
    the empty one stands for none.

    Where a test is about a whole row of the table, its cell is that of the caller whose answer was
    wrong.
    """
    row = _row_in_the_way(result)
    if result.cell and not row:
        return result.requirement, [str(result.cell)]
    seen = result.evidence.exchanges if row else filter(None, [result.shown_by])
    callers = filter(None, (_CALLER.fullmatch(exchange.caller) for exchange in seen))
    requirement = row or result.requirement
    operation = requirement.removeprefix(_ROW)
    return requirement, ["", *(f"{operation}-{caller[1]}-{caller[2]}" for caller in callers)]


def _row_in_the_way(result: TestResult) -> str:
    """The row of the table whose wrong answer kept a test from being decided; empty if none did. An
    answer that says nothing of rights is missing evidence, and no failure.
    """
    if not result.look_at.startswith(_ROW) or result.look_at == result.requirement:
        return ""
    is_trouble = any(
        not exchange.status or exchange.status == 429 or exchange.status >= 500
        for exchange in result.evidence.exchanges
    )
    return "" if is_trouble else result.look_at
