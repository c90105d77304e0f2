"""What a run's folder holds for a replay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError
from rolecall.finished_run import REPLAY, FinishedRun, read_document
from rolecall.memory import Memory
from rolecall.replay.course import Course
from rolecall.replay.document import FORMAT, target_of
from rolecall.replay.moments import Moments
from rolecall.replay.recorded import Recorded
from rolecall.replay.stand_ins import StandIns
from rolecall.target import Target


@dataclass(frozen=True)
class RecordedRun:
    """A finished run, to be replayed; ``missing`` says by test what the evidence does not hold, and
    ``course`` whether the replay goes the way of the run.
    """

    run: FinishedRun
    id: str
    started: float
    read_only: bool
    intrusive: bool
    target: Target
    stand_ins: StandIns
    moments: Moments
    tests: Mapping[str, list[list[Any]]]
    exchanges: list[Recorded]
    course: Course
    missing: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> RecordedRun:
        """Read a run's folder.

        Raises:
            UsageError: it is no finished run's, or holds nothing to replay, or it was damaged.
        """
        run, document = FinishedRun.read(folder), read_document(folder / REPLAY)
        where = str(folder / REPLAY)
        if document.get("format") != FORMAT:
            raise UsageError(
                where, f"its format is not {FORMAT}", "Use the rolecall that made the run."
            )
        try:
            stand_ins = StandIns(document["labels"])
            exchanges = [Recorded(entry) for entry in run.evidence["log"]["entries"]]
            return cls(
                run=run,
                id=str(document["run"]),
                started=float(document["started"]),
                read_only=bool(document["read_only"]),
                intrusive=bool(document["intrusive"]),
                target=target_of(stand_ins.filled(document["target"])),
                stand_ins=stand_ins,
                moments=Moments(float(document["started"]), float(document["monotonic"])),
                tests=stand_ins.filled(document["tests"]),
                exchanges=exchanges,
                course=Course(exchanges),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"it is not as a run writes it ({type(error).__name__}: {error})"
            raise UsageError(where, what) from None

    def memory(self, test: str) -> Memory:
        """What a test learnt beside its exchanges."""
        return Memory((what, value) for what, value in self.tests.get(test, ()))
