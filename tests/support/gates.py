"""Gates for tests of what lies above and below them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rolecall.http.gate import About, Gate
from rolecall.ledger import Ledger


class OpenGate(Gate):
    """Lets everything pass: for tests of the way to a miniature, where nothing can come to harm."""

    def __init__(self) -> None:
        super().__init__(Ledger(Path("/dev/null")), "")
        self.ledger.close()

    def admit(self, method: str, url: str, headers: Mapping[str, str], about: About) -> None:
        """Let it pass."""


def read_only(base_url: str) -> Gate:
    """The gate of a read-only run."""
    return Gate(OpenGate().ledger, base_url, read_only=True)
