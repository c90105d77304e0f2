"""Each of the 188 cells, flipped in its own server, is found as itself and as nothing else.

What the table allows is refused there, what it denies is allowed, for tokens and API keys alike.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from rolecall.selftest import cases as catalogue
from rolecall.selftest import running
from rolecall.selftest.trials import Result
from rolecall.spec.loading import load_specification
from rolecall.spec.model import TOKEN

#: One of each direction: what every role may do, and what only the admin may do.
SAMPLE = ("flip-fetch-user-self-guest", "flip-delete-user-guest")
SPEC = load_specification()
FLIPS = {
    f"flip-{cell.operation}-{cell.role}": cell for cell in SPEC.cells if cell.credential == TOKEN
}
#: Twelve of them, spread over operations and roles.
MORE = catalogue.spread(list(FLIPS), 12)

Results = dict[str, Result]


def judged(names: Iterable[str]) -> Results:
    """What the whole suite says of each of these servers, alone."""
    known = {case.name: case for case in catalogue.cases()}
    return {result.case.name: result for result in running.run_all([known[name] for name in names])}


def assert_found_as_itself(result: Result) -> None:
    """Exactly this cell failed, with both credentials, and there is no other finding."""
    cell = FLIPS[result.case.name]
    assert result.crash == ""
    assert (result.verdict, result.exit_code) == ("not-conformant", 1)
    assert result.case.planted == f"PERM-{cell.operation}"
    assert result.findings == [f"PERM-{cell.operation}"]
    assert sorted(result.failed_cells) == [
        f"{cell.operation}-{cell.role}-{kind}" for kind in ("api-key", "token")
    ]
    assert result.advice == []
    assert result.caught
    assert result.localised
    assert result.as_expected


def test_there_is_a_flip_for_every_cell() -> None:
    """The reference server can turn round each of the 188 cells, 110 that are allowed and 78 that
    are not.
    """
    offered = {case.name for case in catalogue.cases() if case.kind == "flip"}

    assert offered == set(FLIPS)
    assert len(offered) == 188


def test_the_sample_has_both_directions() -> None:
    """The flips of the quick run refuse what is allowed and allow what is refused."""
    assert sorted(FLIPS[name].allowed for name in SAMPLE) == [False, True]


@pytest.fixture(scope="module")
def sample() -> Results:
    """The quick run's flips, judged."""
    return judged(SAMPLE)


@pytest.mark.parametrize("name", SAMPLE)
def test_a_flip_is_found(name: str, sample: Results) -> None:
    """A single wrong cell is that cell's finding and nobody else's."""
    assert_found_as_itself(sample[name])


@pytest.fixture(scope="module")
def more() -> Results:
    """The flips of the long run, judged."""
    return judged(MORE)


@pytest.mark.long
@pytest.mark.parametrize("name", MORE)
def test_more_flips_are_found(name: str, more: Results) -> None:
    """Each of twelve single wrong cells is that cell's finding and nobody else's."""
    assert_found_as_itself(more[name])


@pytest.fixture(scope="module")
def everything() -> Results:
    """All flips, judged."""
    return judged(FLIPS)


@pytest.mark.nightly
@pytest.mark.parametrize("name", FLIPS)
def test_every_flip_is_found(name: str, everything: Results) -> None:
    """Each of the 188 single wrong cells is that cell's finding and nobody else's."""
    assert_found_as_itself(everything[name])
