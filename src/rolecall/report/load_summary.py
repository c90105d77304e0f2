"""``summary.md`` of a load run or a search: verdict and figures for the page of a CI job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.report.judged import observed
from rolecall.report.load_charts import milliseconds, number
from rolecall.report.markdown import code, text

_SIGNS = {"met": "\u2705", "missed": "\u274c", "invalid": "\u2753"}
_HELD = {True: "\u2705 held", False: "\u274c did not hold", None: "\u2753 not decided"}
#: Lines of a list or a table.
_MOST = 40


def write(document: Mapping[str, Any]) -> str:
    """The text of the file, of a ``load.json`` or a ``capacity.json``."""
    about = f"{text(document['scenario'])} on {text(document['target']['name'])}"
    parts = [
        f"## {_SIGNS[document['verdict']]} {document['verdict']}: {about}",
        "\n".join(f"- {text(reason)}" for reason in document["reasons"][:_MOST]),
        _table(("", "good/s", "p50", "p99", "errors", "429"), _figures(document)),
        _table(("rate", "answered", "p50", "p99", "verdict"), _steps(document)),
        _table(("objective", "observed", ""), _objectives(document)),
        _table(("baseline", ""), _baseline(document)),
        _table(("violation", "how many"), _violations(document)),
        _table(("advice, which changes no verdict", "how many"), _advice(document)),
        f"Run {code(document.get('run', ''))}, rolecall {text(document.get('rolecall', ''))}"
        + (f": {code(document['command'])}" if document.get("command") else ""),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(row)} |" for _, row in zip(range(_MOST), rows, strict=False)]
    return "\n".join([f"| {' | '.join(head)} |", "|---" * len(head) + "|", *lines]) if lines else ""


def _figures(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    if "rate" not in document or not document["requests"]:
        return
    seconds = document["duration_s"] or 1
    for name, row in [("all", document)] + [
        (f"{row['method']} {row['name']}", row) for row in document["entries"]
    ]:
        errors = sum(row["errors"].values())
        good = row["requests"] - row["throttled"] - errors
        times = row["response_ms"] if row["requests"] > row["throttled"] else None
        yield (
            code(name),
            number(good / seconds),
            *(milliseconds(times[percent]) if times else "-" for percent in ("p50", "p99")),
            f"{errors:,}",
            f"{row['throttled']:,}",
        )


def _steps(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for step in sorted(document.get("steps", ()), key=lambda step: float(step["rate"])):
        yield (
            number(step["rate"]),
            number(step["throughput"]),
            *(milliseconds(step[name]) if step[name] else "-" for name in ("p50_ms", "p99_ms")),
            text(step["verdict"] + (f", {step['why']}" if step["why"] else "")),
        )


def _objectives(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for judged in document["objectives"]:
        if isinstance(judged, str):  # of a search, whose steps have judged them
            yield code(judged), "", ""
            continue
        yield code(judged["objective"]), observed(judged, "nothing"), _HELD[judged["held"]]


def _baseline(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    comparison = document.get("comparison") or {}
    for gate in comparison.get("gates", ()):
        yield text(gate["sentence"]), _HELD[gate["held"]]
    for change in comparison.get("measures", ()):
        yield text(change["sentence"]), text(change["verdict"])
    if not comparison.get("comparable", True):
        for reason in comparison["reasons"]:
            yield text(reason), "not comparable"


def _violations(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for kind, count in (document.get("violations") or {}).items():
        yield code(kind), f"{count:,}"


def _advice(document: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    for kind in document.get("advice", ()):
        yield f"{code(kind['kind'])} ({text(kind['requirement'])})", f"{kind['count']:,}"
