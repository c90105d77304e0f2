"""One run of the suite against a case: what it is asked, and what came of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from rolecall.selftest.cases import Case
from rolecall.spec.model import CREDENTIALS

INTRUSIVE = "--intrusive"
#: Cases that mostly wait: they are begun first, beside those that keep the cores busy.
_SLOW = frozenset(
    {
        "rate-limit-20",
        "latency-80ms",
        "latency-50ms",
        "slow",
        "hangs-now-and-then",
        "every-50th-429",
        "every-15th-503-retry-after",
    }
    | {"lists-lag", "reads-lag", "replicas-take-turns", "log-ins-200-a-minute"}
)


@dataclass(frozen=True)
class Trial:
    """One run of the suite against a case: its options, what is put at the end of the target file,
    and a mutation of the suite.

    ``without`` names a table that the target file is to lack. ``first`` are requirements whose
    tests are run first; the others follow only where what these say is not enough.
    """

    case: Case
    options: tuple[str, ...] = ()
    target: str = ""
    without: str = ""
    mutation: str = ""
    first: frozenset[str] = frozenset()

    @property
    def waits(self) -> bool:
        """Whether it takes long and hardly keeps a core busy."""
        return self.case.name in _SLOW or (self.case.intrusive and INTRUSIVE in self.options)

    def is_answered(self, result: Result) -> bool:
        """Whether the tests that were run first say enough: that the server was harmed, or the
        fault found, where something is lacking by whatever requirement.
        """
        return bool(result.harm or result.localised or (self.without and result.found))


@dataclass
class Result:
    """What the suite said of a case; ``outcomes`` are those of requirements and of tests, by name.

    ``failed`` are the failed tests of each requirement, ``lacking`` is the capability that a test
    lacked, by its name. ``without`` says for each thing that a tester may not have what a run
    without it said (`rolecall.selftest.without`).
    """

    case: Case
    verdict: str = ""
    exit_code: int = -1
    findings: list[str] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)
    failed_cells: list[str] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict, repr=False)
    failed: dict[str, list[str]] = field(default_factory=dict, repr=False)
    lacking: dict[str, str] = field(default_factory=dict, repr=False)
    without: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    seconds: float = 0.0
    crash: str = ""
    harm: list[str] = field(default_factory=list)
    mutation: str = ""

    @property
    def found(self) -> list[str]:
        """What is held against the server: findings first, then advice."""
        return list(dict.fromkeys(self.findings + self.advice))

    @property
    def caught(self) -> bool:
        """Whether a fault was noticed and said aloud."""
        return bool(self.found)

    @property
    def localised(self) -> bool:
        """Whether the first finding is the requirement that was broken; of a flip, also that just
        its two cells failed.
        """
        if not self.found or self.found[0] != self.case.planted:
            return False
        return self.case.kind != "flip" or (
            set(self.findings) == {self.case.planted} and self._only_its_cell()
        )

    def _only_its_cell(self) -> bool:
        cell = self.case.name.removeprefix("flip-")
        return set(self.failed_cells) == {f"{cell}-{credential}" for credential in CREDENTIALS}

    @property
    def as_expected(self) -> bool:
        """Whether the suite said of this case what it should, and left the server as it was."""
        if self.crash or self.harm:
            return False
        if self.case.kind in ("fault", "flip"):
            return self.localised
        if self.case.kind == "trouble":
            return not set(self.findings) - {self.case.planted}
        if self.case.kind == "loaded":
            return not self.found  # the verdict is also that of this machine, which may be busy
        if self.case.kind == "baseline" and self.found:
            return False  # the reference server gives no cause for advice either
        # all that was made is gone, too
        return self.verdict == "conformant" and self.exit_code == 0

    def document(self) -> dict[str, Any]:
        """The row of the kill table, for machines."""
        row = asdict(self)
        del row["outcomes"], row["failed"], row["lacking"], row["mutation"]
        return {
            **row,
            "caught": self.caught,
            "localised": self.localised,
            "as_expected": self.as_expected,
        }
