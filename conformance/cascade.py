"""What was seen of the cells, whatever the table says of them, and the cascade as a law over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rolecall.conformance.tables import Cell
from rolecall.evidence import Exchange, Pieces


@dataclass(frozen=True)
class Seen:
    """The answers that the cells of one kind of credential got, by (operation, role)."""

    answers: dict[tuple[str, str], Exchange]

    def __bool__(self) -> bool:
        return bool(self.answers)

    def breaks(self, lower: str, higher: str) -> list[str]:
        """The operations that were allowed to ``lower`` and refused to ``higher``."""
        return [
            operation
            for (operation, role), answer in self.answers.items()
            if role == lower and answer.ok and self._refused(operation, higher)
        ]

    def _refused(self, operation: str, role: str) -> bool:
        answer = self.answers.get((operation, role))
        return answer is not None and 400 <= answer.status < 500


class Observed:
    """The cells that the tests of this run have looked at up to now."""

    def __init__(self, cells: Callable[[], Iterable[tuple[Cell, Pieces]]]) -> None:
        self._cells = cells

    def cells(self, credential: str) -> Seen:
        """What was seen with one kind of credential."""
        return Seen(
            {
                (cell.operation, cell.role): evidence.named["answer"]
                for cell, evidence in self._cells()
                if cell.credential == credential and "answer" in evidence.named
            }
        )
