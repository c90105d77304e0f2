"""The answers that cells of the permission table got in this run, for the law of the cascade."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rolecall.evidence import Exchange, TestEvidence
from rolecall.spec.model import Cell, Dialect, Operation


@dataclass(frozen=True)
class CredentialCells:
    """The answers to one kind of credential, by (operation, role), as a dialect reads them."""

    answers: Mapping[tuple[str, str], Exchange]
    operations: Mapping[str, Operation]
    dialect: Dialect

    def allowed(self, lower: str, higher: str) -> list[str]:
        """The operations that ``lower`` was allowed, and that ``higher`` was seen to try."""
        return [
            operation
            for (operation, role), answer in self.answers.items()
            if role == lower
            and (operation, higher) in self.answers
            and self.dialect.allows(self.operations[operation], answer)
        ]

    def breaks(self, lower: str, higher: str) -> list[str]:
        """The operations that ``lower`` was allowed and ``higher`` was refused."""
        return [
            operation
            for operation in self.allowed(lower, higher)
            if self.dialect.denies(self.operations[operation], self.answers[operation, higher])
        ]


class ObservedCells:
    """The cells that the tests of this run have looked at up to now."""

    def __init__(
        self,
        cells: Callable[[], Iterable[tuple[Cell, TestEvidence]]],
        operations: Mapping[str, Operation],
        dialect: Dialect,
    ) -> None:
        self._cells = cells
        self._operations, self._dialect = operations, dialect

    def cells(self, credential: str) -> CredentialCells:
        """What was seen with one kind of credential."""
        return CredentialCells(
            {
                (cell.operation, cell.role): evidence.named["answer"]
                for cell, evidence in self._cells()
                if cell.credential == credential and "answer" in evidence.named
            },
            self._operations,
            self._dialect,
        )
