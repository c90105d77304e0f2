"""An exchange as the evidence has it."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from rolecall.replay.stand_ins import StandIns


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
        self.at, self.queued = float(entry["_at"]), float(entry["_queued"])
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
