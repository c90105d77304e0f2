"""Whether each cell that passed follows from its exchanges: judged once more, from evidence.har.

What report/assets/judge.js does in a reader's browser with whole documents is done here by callers,
requests, statuses and times, and by marks in the text of bodies. It looks for contradictions: a
body that the file holds in part says nothing for or against.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.bounds import WITHHELD
from rolecall.finished_run import cell_name
from rolecall.spec.ids import texts_in

#: Seconds by which times may differ because they were rounded.
_CLOCK = 0.002
_NOT_BARE = re.compile(r"[\W_]+")
#: Of a mark, the beginning that no other has: a target may cut names short.
_UNIQUE = re.compile(r"rolecall\d{14}[0-9a-f]{6}\d+[a-z]")
_WRITES = ("create", "update", "delete")


class Contradicted(Exception):
    """The evidence of a cell says otherwise than that it passed; the text says how."""


def contradicted_cells(
    results: Mapping[str, Any], entries: Mapping[int, Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    """The name of each cell that passed without the evidence for it, and what is wrong with that.

    Args:
        results: results.json, which follows its schema.
        entries: the exchanges of evidence.har by number.
    """
    tests = {
        (entry["id"], test["name"].partition("[")[2]): test
        for entry in results["requirements"]
        for test in entry["tests"]
    }
    for cell in results["cells"]:
        name = cell_name(cell)
        test = tests.get((f"PERM-{cell['operation']}", f"{name}]"))
        operation = results["operations"].get(cell["operation"])
        if cell["outcome"] == "not-applicable":
            yield name, "the table has a word on every cell, so none is not applicable"
        elif cell["outcome"] != "passed" or test is None or operation is None:
            continue  # of what is missing, `completeness` speaks
        else:
            try:
                _Cell(cell, test, operation, results, entries).judge()
            except Contradicted as wrong:
                yield name, str(wrong)


class _Cell:
    """A cell that is said to have passed, and the exchanges that its test names."""

    def __init__(
        self,
        cell: Mapping[str, Any],
        test: Mapping[str, Any],
        operation: Mapping[str, Any],
        results: Mapping[str, Any],
        entries: Mapping[int, Mapping[str, Any]],
    ) -> None:
        self.cell, self.operation = cell, operation
        self.dialect = results["dialect"]["values"]
        self.subject = cell.get("subject") or {}
        self.pieces = {
            piece: entries[number]
            for piece, number in test["evidence"].items()
            if number in entries
        }

    def judge(self) -> None:
        """Look for a contradiction.

        Raises:
            Contradicted: there is one.
        """
        answer = self._piece("answer")
        if answer["request"]["method"] != self.operation["method"]:
            raise Contradicted("its answer is that to another operation")
        if _caller(answer) != f"{self.cell['role']} ({self.cell['credential']})":
            raise Contradicted("its answer is that to another caller")
        if self.cell["expected"] == "allow":
            self._judge_allowed(answer)
        else:
            self._judge_denied(answer)

    def _judge_allowed(self, answer: Mapping[str, Any]) -> None:
        status = answer["response"]["status"]
        if not _is_success(answer) or status not in self.operation["success"]:
            raise Contradicted(f"it is allowed, and was answered {status}")
        if self.operation["effect"] in ("create", "update"):
            text = self._observed(answer)
            if text is not None and not self._bears_mark(text):
                raise Contradicted("what was looked at does not show what it wrote")
        elif self.operation["effect"] == "delete":
            self._observed(answer)
        else:
            shown = [_text(answer), _text(self.pieces.get("answer shows", answer))]
            ids = [self.subject.get(name) for name in ("thing", "newest")]
            sought = [id for id in ids if id]
            if not sought or not any(text is None or _holds(text, sought) for text in shown):
                raise Contradicted("its answer does not show the thing")

    def _judge_denied(self, answer: Mapping[str, Any]) -> None:
        status = answer["response"]["status"]
        if _is_success(answer):
            if not self._is_empty_list(answer):
                raise Contradicted(f"it is denied, and was answered {status}")
        elif status not in self.dialect["denied"] or not 400 <= status < 500:
            raise Contradicted(f"it is denied, and was answered {status}")
        control = self._piece("control")
        if not _is_success(control):
            raise Contradicted("its control did not succeed")
        if control["request"]["method"] != answer["request"]["method"]:
            raise Contradicted("its control is another request")
        alive = self._piece("alive")
        if not _is_success(alive) or _caller(alive) != _caller(answer):
            raise Contradicted("its credential was not seen to be alive")
        _expect_later(alive, answer, "its credential was seen to be alive")
        if self.operation["effect"] in _WRITES:
            self._expect_undone(answer)

    def _expect_undone(self, answer: Mapping[str, Any]) -> None:
        text = self._observed(answer)
        if self.operation["effect"] == "delete":
            if self._piece("observation")["response"]["status"] in self.dialect["gone"]:
                raise Contradicted("it is denied, and what was to be deleted is gone")
        elif text is not None and self._bears_mark(text):
            raise Contradicted("it is denied, and was done all the same")

    def _is_empty_list(self, answer: Mapping[str, Any]) -> bool:
        """Whether an answer is what a reading calls a denial: a list that shows nothing."""
        text = _text(answer) or ""
        return (
            self.dialect["denied_list"] == "empty"
            and self.operation["effect"] == "list"
            and not any(id in text for id in (self.subject.get("thing"),) if id)
        )

    def _observed(self, answer: Mapping[str, Any]) -> str | None:
        """All that was seen at the thing, or in its list, after the answer; None if not all of it
        is in the file.
        """
        self._piece("observation")
        looks = [look for piece, look in self.pieces.items() if piece.startswith("observation")]
        for look in looks:
            _expect_later(look, answer, "the thing was looked at")
        texts = [_text(look) for look in looks]
        if not all(_is_success(look) for look in looks):
            gone = looks[0]["response"]["status"] in self.dialect["gone"]
            if not gone:
                raise Contradicted("what it did was not seen: the look at the thing failed")
        return None if None in texts else "\n".join(text for text in texts if text is not None)

    def _bears_mark(self, text: str) -> bool:
        """Whether what the cell's test wrote stands in a text."""
        mark = _bare(self.subject.get("mark") or "")
        if not mark:
            raise Contradicted("what it sent bears no mark by which to know it")
        found = _UNIQUE.match(mark)
        return (found[0] if found else mark) in _bare(text)

    def _piece(self, name: str) -> Mapping[str, Any]:
        if name not in self.pieces:
            raise Contradicted(f"it has no exchange that is its {name}")
        return self.pieces[name]


def _expect_later(later: Mapping[str, Any], answer: Mapping[str, Any], what: str) -> None:
    if later["_started"] + _CLOCK < answer["_finished"]:
        raise Contradicted(f"{what} before its answer came")


def _is_success(entry: Mapping[str, Any]) -> bool:
    return 200 <= int(entry["response"]["status"]) < 300


def _caller(entry: Mapping[str, Any]) -> str:
    return str(entry["_caller"])


def _text(entry: Mapping[str, Any]) -> str | None:
    """The body of an answer; None where the file does not hold all of it as text."""
    content = entry["response"]["content"]
    if "comment" in content or "_bytes" in entry or "_cut" in entry:
        return None
    text = str(content.get("text", ""))
    return None if text == WITHHELD else text


def _holds(text: str, ids: list[str]) -> bool:
    """Whether one of some ids stands in a body, as it is or with escapes of JSON."""
    if any(id in text for id in ids):
        return True
    try:
        document = json.loads(text)
    except ValueError:
        return False
    except RecursionError:  # nested too deeply to be looked at here
        return True
    return any(id in found for _, found in texts_in(document) for id in ids)


def _bare(text: str) -> str:
    """The letters and digits of a text, in small letters: a target may write names in its way."""
    return _NOT_BARE.sub("", text).lower()
