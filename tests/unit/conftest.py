"""Where coverage is measured, only what is measured is traced: tracing doubles the time of a test.

That is the imports, the tests and their fixtures. It is not pytest itself, which takes a third of
the time, nor tests of modules that ``coverage.ini`` does not name.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
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
    "test_fragments",
    "test_members",
    "test_moves",
    "test_neighbours",
    "test_rights",
    "test_secrets",
    "test_victims",
}
#: Coverage's function, or none where nothing is measured.
_TRACER: Any = sys.gettrace()


@contextmanager
def _traced(tracer: Any) -> Generator[None]:
    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        yield
    finally:
        sys.settrace(before)


def _tracer(path: Any) -> Any:
    return None if path.stem in UNTRACED else _TRACER


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol() -> Generator[None, Any, Any]:
    """Do not trace how pytest goes from one test to the next."""
    with _traced(None):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(request: pytest.FixtureRequest) -> Generator[None, Any, Any]:
    """Trace what a fixture does before the test."""
    with _traced(_tracer(request.path)):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Trace the test."""
    with _traced(_tracer(pyfuncitem.path)):
        return (yield)
