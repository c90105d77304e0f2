"""Two runs of one server name the same findings."""

from __future__ import annotations

import pytest

from rolecall.selftest import cases as catalogue
from rolecall.selftest import running
from rolecall.selftest.cases import Case
from rolecall.selftest.trials import Result, Trial

#: Servers that differ from one run to the next, or that a run has to wait for.
_NOT_THE_SAME = ("random", "now-and-then", "every-15th")
#: Servers that keep answers, their tags or decisions for some seconds. How fast they are asked
#: decides which cells meet that; it does not decide which requirements are broken.
_REMEMBERS = ("cached", "not-modified")


def servers(count: int) -> list[Case]:
    """Faults, flips (a quarter) and variants, spread over the catalogue: those that are the same
    server every time.
    """
    same = [
        case
        for case in catalogue.cases()
        if not case.load and not any(word in case.name for word in _NOT_THE_SAME)
    ]
    quick = [case for case in same if not Trial(case, running.options_of(case)).waits]
    flips = catalogue.spread([case for case in quick if case.kind == "flip"], count // 4)
    return (
        catalogue.spread([case for case in quick if case.kind != "flip"], count - len(flips))
        + flips
    )


def assert_the_same(cases: list[Case], times: int) -> None:
    """Run the suite against each server so many times: the findings, their order and (but for a
    server that remembers) the tests that failed are always the same.
    """
    trials = [Trial(case, running.options_of(case)) for case in cases for _ in range(times)]
    said: dict[str, list[Result]] = {}
    for result in running.run_trials(trials):
        said.setdefault(result.case.name, []).append(result)

    differences = {}
    for name, results in said.items():
        named = {tuple(result.found) for result in results}
        failed = [
            {test for tests in result.failed.values() for test in tests} for result in results
        ]
        flaky = failed[0].union(*failed) - failed[0].intersection(*failed)
        if any(word in name for word in _REMEMBERS):
            flaky = set()
        crashes = [result.crash for result in results if result.crash]
        if len(named) > 1 or flaky or crashes:
            differences[name] = (named, flaky, crashes)
    assert {} == differences


@pytest.mark.long
def test_some_servers_twice() -> None:
    """Of eight servers two runs name the same findings."""
    assert_the_same(servers(8), 2)


@pytest.mark.nightly
def test_twenty_servers_five_times() -> None:
    """Of twenty servers five runs name the same findings."""
    assert_the_same(servers(20), 5)
