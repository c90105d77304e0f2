"""Traces only what is measured, where coverage is: ``-p tests.unit.traced``.

Tracing doubles the time of a test. What is measured runs while it is imported, and in the tests and
their fixtures; not in pytest itself, in the imports of the tests, and in tests of modules that
``coverage.ini`` does not name.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from configparser import ConfigParser
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

#: The tests of other modules. A module that coverage.ini names is covered without them.
UNTRACED = {
    "test_aborting",
    "test_callers",
    "test_capacity_posterior",
    "test_capacity_scalability",
    "test_capacity_search",
    "test_capacity_segments",
    "test_capacity_state",
    "test_capacity_stepper",
    "test_covered",
    "test_fragments",
    "test_members",
    "test_moves",
    "test_neighbours",
    "test_rights",
    "test_secrets",
    "test_turns",
    "test_victims",
}
#: Coverage's function, or none where nothing is measured.
_TRACER: Any = sys.gettrace()


def _stop_tracing() -> None:
    """Import what is measured, which runs many of its lines; trace nothing from here on."""
    settings = ConfigParser()
    settings.read(Path(__file__).with_name("coverage.ini"), encoding="utf-8")
    for line in settings["run"]["include"].split():
        import_module(".".join(Path(line).relative_to("src").with_suffix("").parts))
    sys.settrace(None)


if _TRACER:
    _stop_tracing()


@contextmanager
def _traced(path: Path) -> Generator[None]:
    before = sys.gettrace()
    sys.settrace(None if path.stem in UNTRACED else _TRACER)
    try:
        yield
    finally:
        sys.settrace(before)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Trace what a fixture does before the test."""
    with _traced(request.node.path):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Trace the test."""
    with _traced(pyfuncitem.path):
        return (yield)
