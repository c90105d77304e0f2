"""What ``rolecall show`` prints: an exchange of a run's evidence, or a cell with all of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rolecall.finished_run import cell_name
from rolecall.report import curl
from rolecall.report.causes import short_name
from rolecall.screen import harmless

#: The pieces of a cell's evidence, in the order in which they are told; others follow.
_PIECES = ("control", "answer", "observation", "alive")
_INDENT = "  "


def entries(evidence: Mapping[str, Any]) -> dict[int, Mapping[str, Any]]:
    """The entries of evidence.har by the numbers of their exchanges."""
    return {entry["_number"]: entry for entry in evidence["log"]["entries"]}


def exchange(entry: Mapping[str, Any]) -> str:
    """An exchange: who sent it and when, the request (``>``), the answer (``<``), and the line that
    sends it again.
    """
    timings = entry["timings"]
    time = f"{timings['wait']:g} ms (after {timings.get('blocked', 0):g} ms in the queue)"
    who = f"exchange {entry['_number']}, as {entry['_caller']}"
    lines = [f"{who}, {entry['startedDateTime']}, {time}"]
    if entry["_attempts"] > 1:
        lines.append(f"sent {entry['_attempts']} times; this is the last one")
    request, response = entry["request"], entry["response"]
    lines += _side(
        ">",
        f"{request['method']} {request['url']}",
        request["headers"],
        request.get("postData", {}),
    )
    if response["status"]:
        lines += _side("<", str(response["status"]), response["headers"], response["content"])
    else:
        lines += _side("<", entry["_error"] or "no answer", response["headers"], {})
    lines.append(f"try {curl.of_entry(entry)}")
    return "\n".join(map(harmless, lines))


def _side(
    sign: str, first: str, headers: Iterable[Mapping[str, str]], body: Mapping[str, Any]
) -> Iterator[str]:
    yield f"{sign} {first}"
    yield from (f"{sign} {header['name']}: {header['value']}" for header in headers)
    if text := body.get("text", ""):
        yield sign
        yield from (f"{sign} {line}" for line in text.split("\n"))
    if comment := body.get("comment"):
        yield f"({comment})"


def cell(results: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The cell of this name, such as ``list-users-guest-token``."""
    return next((found for found in results["cells"] if cell_name(found) == name), None)


def cell_text(
    results: Mapping[str, Any], evidence: Mapping[str, Any], found: Mapping[str, Any]
) -> str:
    """A cell: what is expected and what was found, why, and each piece of its evidence."""
    name = cell_name(found)
    requirement = next(
        entry for entry in results["requirements"] if entry["id"] == f"PERM-{found['operation']}"
    )
    rule = f"{requirement['id']} ({requirement['level']}): {requirement['statement']}"
    lines = [
        f"{name}: {found['outcome']}" + (f" ({found['status']})" if found["status"] else ""),
        f"{_INDENT}expected  {found['expected']}",
        f"{_INDENT}follows   {rule} [{requirement['clause']}]",
    ]
    if found["reason"]:
        lines.append(f"{_INDENT}reason    {found['reason']}")
    test = _test(requirement["tests"], name)
    if test is None:
        lines.append(f"{_INDENT}evidence  none: no test of this cell was run")
        return "\n".join(map(harmless, lines))
    if test["look_at"]:
        lines.append(f"{_INDENT}look at   {test['look_at']}")
    lines.append(f"{_INDENT}test      {test['name']}")
    by_number = entries(evidence)
    pieces = sorted(test["evidence"].items(), key=lambda piece: _rank(piece[0]))
    blocks = [
        f"{piece}: {exchange(by_number[number])}" for piece, number in pieces if number in by_number
    ]
    others = [number for number in test["exchanges"] if number not in test["evidence"].values()]
    if others:
        blocks.append(f"other exchanges of the test: {', '.join(map(str, others))}")
    if not blocks:
        lines.append(f"{_INDENT}evidence  none: the test came to no exchange")
    return "\n\n".join(["\n".join(map(harmless, lines)), *blocks])


def _test(tests: Iterable[Mapping[str, Any]], name: str) -> Mapping[str, Any] | None:
    return next((test for test in tests if short_name(test["name"]) == name), None)


def _rank(piece: str) -> int:
    return _PIECES.index(piece) if piece in _PIECES else len(_PIECES)
