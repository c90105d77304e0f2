"""What a conformance test can ask for, and which tests are refused at collection."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
from typing import Any

import pytest

from rolecall.harness.run import Run
from rolecall.spec.loading import load_specification

RUN = pytest.StashKey[Run]()

#: All that a test can ask for besides its parameters: attributes of the `RunContext`, by name.
#: Tests run before pytest would make any other fixture.
OFFERED = {
    "world": "The target's users and things, and the ways to them.",
    "judge": "Compares responses with the permission table.",
    "expiry": "The ways to an expired token.",
    "attacker": "Sends forged tokens and checks that each is rejected.",
    "observed": "The exchanges of the permission table's cells.",
    "responses": "All responses of the run.",
}
#: Marks of pytest and its plugins that would have no effect here, with what to do instead.
_REFUSED_MARKS = {
    "skip": "raise NotTested or NotApplicable",
    "skipif": "raise NotTested or NotApplicable",
    "xfail": "raise NotTested or NotApplicable",
    "usefixtures": "name what it needs as an argument",
    "flaky": "every result is final",
}


def fixtures() -> dict[str, Any]:
    """A pytest fixture for every name in `OFFERED`."""
    return {name: _fixture(name, description) for name, description in OFFERED.items()}


def _fixture(name: str, description: str) -> Any:
    def offered(request: pytest.FixtureRequest) -> Any:
        return getattr(request.config.stash[RUN].context, name)

    offered.__doc__ = description
    return pytest.fixture(scope="session", name=name)(offered)


def arguments_of(item: pytest.Function, run: Run) -> dict[str, Any]:
    """The arguments to call a checked test with: its parameters, and what it asks of the run."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    return {
        name: given[name] if name in given else getattr(run.context, name)
        for name in _asked_for(item)
    }


def check_test(item: pytest.Item) -> None:
    """Refuse a test that would not run as it is written.

    Raises:
        UsageError: it is not an ``async def``, asks for a fixture that is not offered, or bears a
            mark that has no effect here.
    """
    if not isinstance(item, pytest.Function) or not inspect.iscoroutinefunction(item.obj):
        raise pytest.UsageError(f"{item.nodeid} must be an `async def`, as all tests of this suite")
    for mark, instead in _REFUSED_MARKS.items():
        if item.get_closest_marker(mark):
            raise pytest.UsageError(
                f"{item.nodeid} is marked {mark}, which has no effect here: {instead}"
            )
    unknown = [_plain(name) for name in item.fixturenames if not _is_fulfilled(item, name)]
    if unknown:
        raise pytest.UsageError(
            f"{item.nodeid} asks for {', '.join(unknown)}; a test can ask for {', '.join(OFFERED)}"
        )


def _is_fulfilled(item: pytest.Function, name: str) -> bool:
    """Whether a fixture is ours or a parameter, or made by a plugin that the test does not ask."""
    definitions = item._fixtureinfo.name2fixturedefs.get(name)  # noqa: SLF001  # no public way
    if not definitions:
        return name not in _asked_for(item)
    nearest = definitions[-1]
    if name in _asked_for(item):
        # A parameter's value comes from a fixture of pytest's own, unless it is indirect.
        return nearest.func.__module__ in (__name__, "_pytest.python")
    return not nearest.baseid  # those of modules, classes and conftest files have one


def _asked_for(item: pytest.Function) -> tuple[str, ...]:
    return item._fixtureinfo.argnames  # noqa: SLF001  # no public way


def _plain(name: str) -> str:
    """The name of a fixture as a user knows it: pytest makes some of ``setup_module`` and so on."""
    return re.sub(r"^_xunit_(\w+?)_fixture_.*", r"\1", name)


def requirement_of(item: pytest.Item) -> str:
    """The id of the requirement that a test proves.

    Raises:
        UsageError: the test names none, or one that the table of requirements does not have.
    """
    mark = item.get_closest_marker("requirement")
    if mark is None:
        raise pytest.UsageError(f"{item.nodeid} does not say which requirement it proves")
    if mark.args[0] not in load_specification().requirements:
        raise pytest.UsageError(
            f"{item.nodeid} proves {mark.args[0]}, which is not in requirements.toml"
        )
    return str(mark.args[0])


def collected(items: Iterable[pytest.Item]) -> dict[str, list[tuple[str, str]]]:
    """By requirement: the names of its tests, each with its cell's or an empty string. It is empty
    where not all files of the suite were collected, as a requirement may have tests in any.
    """
    tests: dict[str, list[tuple[str, str]]] = {}
    for item in items:
        given = getattr(item, "callspec", None)  # where the test has parameters
        cell = str(given.params.get("cell", "")) if given else ""
        tests.setdefault(requirement_of(item), []).append((item.name, cell))
    return tests if tests.keys() >= load_specification().requirements.keys() else {}


def phase_of(item: pytest.Item) -> int:
    """The phase of the run that a test belongs to."""
    mark = item.get_closest_marker("requirement")
    return int(mark.kwargs.get("phase", 0)) if mark else 0
