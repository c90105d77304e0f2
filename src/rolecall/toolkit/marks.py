"""Marks that tie a test to its requirement, and parametrize it from the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from rolecall.spec.loading import load_specification
from rolecall.spec.model import Cell, Operation

#: Phases of a run: what may run at the same time. Tests that measure time or try an account's
#: patience run one by one; tests of expiry move the target's clock, so they come after all these;
#: those that refresh an expired session, which may end its access token, come after them; tests
#: over the whole run come last.
ORDINARY, ALONE, EXPIRY, EXPIRED_SESSIONS, SUMMARY = range(5)


def requirement(id: str, *, phase: int = ORDINARY) -> pytest.MarkDecorator:
    """The test proves the requirement of this id, in this phase of the run."""
    return pytest.mark.requirement(id, phase=phase)


def cells(expected: str, *effects: str, self: bool | None = None) -> pytest.MarkDecorator:
    """One test per cell that the table allows (``"allow"``) or denies (``"deny"``), by effect.

    Args:
        self: only operations on the caller's own user (True), only the others (False), or both.
    """
    spec = load_specification()

    def chosen(operation: Operation, cell: Cell) -> bool:
        return (
            cell.expected == expected
            and operation.effect in effects
            and self in (None, operation.is_self)
        )

    return pytest.mark.parametrize(
        "cell",
        [
            pytest.param(
                cell, id=str(cell), marks=requirement(spec.operations[cell.operation].requirement)
            )
            for cell in spec.cells
            if chosen(spec.operations[cell.operation], cell)
        ],
    )


def each(name: str, cases: Iterable[str]) -> pytest.MarkDecorator:
    """One test per case, by its name; the test looks up what the name stands for.

    A parameter's value becomes part of a report's history of the test, so it must be the same in
    every run, and no secret.
    """
    return pytest.mark.parametrize(name, list(cases))


def roles(name: str = "role") -> pytest.MarkDecorator:
    """One test per role of the permission table."""
    return pytest.mark.parametrize(name, load_specification().roles)


def operations(
    choose: Callable[[Operation], bool] = lambda operation: True,
) -> pytest.MarkDecorator:
    """One test per operation that ``choose`` takes."""
    return pytest.mark.parametrize(
        "operation", [op.name for op in load_specification().operations.values() if choose(op)]
    )
