"""Runs each fault again without a table of the target file, as a tester who has less would.

The tests of the planted requirement are run first. What fails there fails in a whole run as well,
so the rest is run only where nothing did. A fault that is not caught any more has to be one that
the missing thing explains: no test that had seen it was run, and the catalogue, or the test itself,
names what it lacked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rolecall.selftest.running import options_of, run_trials
from rolecall.selftest.trials import Result, Trial
from rolecall.spec.model import API_KEYS, LAST_MINUTE, PUBLIC_KEY, SIGNING_KEY

CAUGHT = "yes"
_CLOCK = "clock"  # what a fault of the catalogue needs


@dataclass(frozen=True)
class Lack:
    """Something that a tester does not have: the ``table`` of the target file that gives it, and
    what else is lost with it.

    ``capabilities`` are those of requirements.toml, and what the catalogue says that a fault needs.
    """

    name: str
    title: str
    table: str
    capabilities: frozenset[str]


LACKS = {
    lack.name: lack
    for lack in (
        Lack("api-keys", "API keys", "api_keys", frozenset({API_KEYS})),
        Lack(
            "clock-and-key",
            "clock and key",
            "expiry",
            frozenset({_CLOCK, SIGNING_KEY, PUBLIC_KEY, LAST_MINUTE}),
        ),
    )
}


def look(
    lack: Lack, whole: Iterable[Result], on_result: Callable[[Result], None] = lambda result: None
) -> None:
    """Note in the result of each fault that the suite sees what is said of it without something."""
    faults = {
        result.case.name: result
        for result in whole
        if result.case.kind in ("fault", "flip") and not result.case.load
    }

    def note(result: Result) -> None:
        fault = faults[result.case.name]
        fault.without[lack.name] = verdict(lack, fault, result)
        on_result(fault)

    run_trials(
        [
            Trial(case, options_of(case), without=lack.table, first=frozenset({case.planted}))
            for case in (fault.case for fault in faults.values())
        ],
        note,
    )


def verdict(lack: Lack, whole: Result, result: Result) -> str:
    """What is said of a fault without something: that it is caught, by whom if not by its own
    requirement, or why not.

    Args:
        lack: what was left out.
        whole: the run with everything.
        result: the run without it, of the planted requirement's tests or of all.
    """
    if result.crash or result.harm:
        return f"NO: {result.crash or result.harm[0]}"
    if result.found:
        return CAUGHT if result.case.planted in result.found else f"by {result.found[0]}"
    return f"needs {lack.title}" if _is_explained(lack, whole, result) else "NO"


def is_explained(said: str) -> bool:
    """Whether a fault is caught without something, or for want of that."""
    return not said.startswith("NO")


def _is_explained(lack: Lack, whole: Result, result: Result) -> bool:
    """Whether none of the planted requirement's tests that had seen a fault was run, for want of
    what is left out.
    """
    tests = whole.failed[whole.case.planted]
    if not tests or any(
        result.outcomes.get(test) not in ("not-tested", "not-applicable") for test in tests
    ):
        return False
    return (
        bool(whole.case.needs & lack.capabilities)
        or {result.lacking.get(test) for test in tests} <= lack.capabilities
    )
