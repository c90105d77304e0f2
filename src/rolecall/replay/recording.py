"""What a run's folder holds for a replay."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from rolecall.errors import UsageError
from rolecall.finished_run import REPLAY, FinishedRun, read_document
from rolecall.memory import Memory
from rolecall.replay.document import FORMAT, target_of
from rolecall.replay.moments import Moments
from rolecall.replay.stand_ins import StandIns
from rolecall.target import Target


class Recorded:
    """One exchange of the evidence; the attributes are those of `rolecall.evidence.Exchange`."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        self._entry = entry
        self.is_served = False
        self.headers: dict[str, str] = {
            field["name"].lower(): field["value"] for field in entry["request"]["headers"]
        }
        self.number, self.attempts = int(entry["_number"]), int(entry["_attempts"])
        self.test, self.caller = str(entry["_test"]), str(entry["_caller"])
        self.attack, self.error = str(entry["_attack"]), str(entry["_error"])
        self.started, self.finished = float(entry["_started"]), float(entry["_finished"])
        self.turn, self.resumed = int(entry["_turn"]), float(entry["_resumed"])
        self.failure, self.cut = str(entry.get("_failure", "")), str(entry.get("_cut", ""))
        self.begun: int | None = entry.get("_begun")

    @property
    def method(self) -> str:
        """The request's method."""
        return str(self._entry["request"]["method"])

    @property
    def url(self) -> str:
        """The request's URL, with labels in it."""
        return str(self._entry["request"]["url"])

    @property
    def content(self) -> str:
        """The request's body, with labels in it."""
        return str(self._entry["request"].get("postData", {}).get("text", ""))

    @property
    def at(self) -> float:
        """When it was sent, in seconds since 1970."""
        return datetime.fromisoformat(self._entry["startedDateTime"]).timestamp()

    @property
    def response(self) -> Mapping[str, Any]:
        """The response, as HAR has it."""
        response: Mapping[str, Any] = self._entry["response"]
        return response

    def body(self, stand_ins: StandIns) -> bytes:
        """The response's body."""
        if data := self._entry.get("_bytes"):
            text = base64.b64decode(data).decode("latin-1")
            return stand_ins.fill(text).encode("latin-1", "replace")
        return stand_ins.fill(self.response["content"]["text"]).encode("utf-8", "replace")


@dataclass(frozen=True)
class RecordedRun:
    """A finished run, to be replayed; ``missing`` says by test what the evidence does not hold."""

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
                exchanges=[Recorded(entry) for entry in run.evidence["log"]["entries"]],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = f"it is not as a run writes it ({type(error).__name__}: {error})"
            raise UsageError(where, what) from None

    def memory(self, test: str) -> Memory:
        """What a test learnt beside its exchanges."""
        return Memory((what, value) for what, value in self.tests.get(test, ()))
