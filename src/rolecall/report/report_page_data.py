"""What the script of a run's page reads: cells, tests and exchanges, small and bounded.

Whatever stands more than once (a header line, a body) stands once, in ``texts``, and is referred to
by its place there. Bodies are cut so that all of them together keep within a bound.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rolecall.report import curl
from rolecall.report.foreign_text import short

#: Characters of all bodies together in a page; evidence.har has them whole.
BODIES = 1_500_000
#: Characters of one body: the first of these with which all of them are within `BODIES`.
_OF_A_BODY = (65_536, 16_384, 4_096, 2_048, 1_024, 512, 256, 128, 64)
#: Exchanges that are shown whole, and exchanges altogether; the others are in evidence.har.
_EXCHANGES, _LINES = 3_000, 10_000
#: Header lines of a message, and notes of a test.
_HEADERS, _NOTES = 100, 20
_DECIDED = ("passed", "not-applicable")


class Texts:
    """Texts, each of them once."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        """Where a text is; it is put there if it is new."""
        if text not in self._places:
            self._places[text] = len(self.all)
            self.all.append(text)
        return self._places[text]


def data(results: Mapping[str, Any], evidence: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a page, of results.json and evidence.har; judge.js has the names of columns."""
    entries = {entry["_number"]: entry for entry in evidence["log"]["entries"]}
    tests = [
        (required["id"], test) for required in results["requirements"] for test in required["tests"]
    ]
    numbers = {test["name"]: number for number, (_, test) in enumerate(tests)}
    of_cells = {cell.get("test") for cell in results["cells"]}
    told = [test for _, test in tests if test["name"] in of_cells]
    told += [test for _, test in tests if test["outcome"] not in _DECIDED]
    whole = list(_exchanges_of(told, entries))[:_EXCHANGES]
    others = list(_exchanges_of((test for _, test in tests), entries))[:_LINES]
    pasted = {number for test in told for number in test["evidence"].values()}
    texts, limit = Texts(), _limit(entries[number] for number in whole)
    lines = {
        number: _line(entries[number], texts) for number in sorted(set(others).difference(whole))
    }
    return {
        "run": results["run"],
        "verdict": results["verdict"],
        "operations": results.get("operations", {}),
        "dialect": results["dialect"]["values"],
        "cells": [_cell(cell, numbers) for cell in results["cells"]],
        "tests": [_test(id, test) for id, test in tests],
        "exchanges": {
            number: _exchange(entries[number], texts, limit, pasted) for number in sorted(whole)
        },
        "lines": lines,
        "texts": texts.all,
    }


def _exchanges_of(
    tests: Iterable[Mapping[str, Any]], entries: Mapping[int, Any]
) -> dict[int, None]:
    """The numbers of the exchanges of tests: first those that judgements rest on."""
    tests = list(tests)
    named = [number for test in tests for number in test["evidence"].values()]
    others = [number for test in tests for number in test["exchanges"]]
    return {number: None for number in named + others if number in entries}


def _cell(cell: Mapping[str, Any], numbers: Mapping[str, int]) -> list[Any]:
    return [
        cell["operation"],
        cell["role"],
        cell["credential"],
        cell["expected"],
        cell["outcome"],
        short(cell["reason"]),
        numbers.get(cell.get("test", ""), -1),
        cell.get("subject", {}),
    ]


def _test(id: str, test: Mapping[str, Any]) -> list[Any]:
    return [
        test["name"],
        id,
        test["outcome"],
        short(test["reason"]),
        short(test["look_at"]),
        [short(note) for note in test["notes"][:_NOTES]],
        test["seconds"],
        test["tries"],
        test["evidence"],
        test["exchanges"],
    ]


def _limit(entries: Iterable[Mapping[str, Any]]) -> int:
    """Characters of a body, so that all bodies together are within `BODIES`."""
    lengths = [len(text) for text in {text for entry in entries for text in _bodies(entry)}]
    return next(
        (limit for limit in _OF_A_BODY if sum(min(length, limit) for length in lengths) <= BODIES),
        _OF_A_BODY[-1],
    )


def _bodies(entry: Mapping[str, Any]) -> tuple[str, str]:
    sent = entry["request"].get("postData", {}).get("text", "")
    return sent, entry["response"]["content"].get("text", "")


def _exchange(
    entry: Mapping[str, Any], texts: Texts, limit: int, pasted: Container[int]
) -> list[Any]:
    """An exchange as a row; a ``curl`` line comes with those whose numbers are in ``pasted``."""
    request, response = entry["request"], entry["response"]
    sent, got = _bodies(entry)
    content = response["content"]
    return [
        *_line(entry, texts),
        _milliseconds(entry["startedDateTime"]),
        [texts.place(line) for line in _headers(request["headers"])],
        texts.place(sent[:limit]),
        [texts.place(line) for line in _headers(response["headers"])],
        texts.place(got[:limit]),
        short(entry["_error"]),
        # The whole lengths of bodies of which only the beginning stands here.
        len(sent) if len(sent) > limit else 0,
        content["size"] if len(got) > limit or "comment" in content else 0,
        short(curl.of_entry(entry)) if entry["_number"] in pasted and len(sent) <= limit else "",
    ]


def _line(entry: Mapping[str, Any], texts: Texts) -> list[Any]:
    """What all exchanges have: method, URL, status, caller and milliseconds."""
    return [
        entry["request"]["method"],
        texts.place(short(entry["request"]["url"])),
        entry["response"]["status"],
        texts.place(short(entry["_caller"])),
        # Without the time in a queue, which is no time of the target's.
        entry["timings"]["wait"],
    ]


def _headers(headers: Sequence[Mapping[str, str]]) -> list[str]:
    return [short(f"{header['name']}: {header['value']}") for header in headers[:_HEADERS]]


def _milliseconds(when: str) -> int:
    """A time of the archive, in milliseconds since 1970."""
    return round(datetime.fromisoformat(when).timestamp() * 1000)
