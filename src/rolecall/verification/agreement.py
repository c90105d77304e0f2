"""Whether results.json and evidence.har speak of the same exchanges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.finished_run import cell_name

#: What a test came to by looking at exchanges.
_LOOKED = ("passed", "failed", "not-applicable", "waived")
_AGAIN = "results and evidence are not of one run; ask for its own files"


def agreement_faults(results: Mapping[str, Any], evidence: Any) -> Iterator[str]:
    """A sentence on each way in which they differ; ``results`` follows its schema."""
    entries = _entries(evidence)
    if entries is None:
        yield "evidence.har is not an archive of numbered exchanges (HAR 1.2): get the run's own"
        return
    numbers = Counter(entry["_number"] for entry in entries)
    if len(numbers) < len(entries):
        yield f"evidence.har has two exchanges of one number: {_AGAIN}"
    if len(entries) != results["requests"]:
        yield (
            f"evidence.har holds {len(entries)} exchanges and results.json counts "
            f"{results['requests']} requests: {_AGAIN}"
        )
    yield from _of_citations(results, numbers)
    yield from _of_statuses(results, {entry["_number"]: entry for entry in entries})


def _entries(evidence: Any) -> list[dict[str, Any]] | None:
    """The archive's entries, each with a number and a status; None where it has other things."""
    log = evidence.get("log") if isinstance(evidence, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list) or not all(
        isinstance(entry, dict)
        and type(entry.get("_number")) is int
        and isinstance(entry.get("request"), dict)
        and isinstance(entry.get("response"), dict)
        and type(entry["response"].get("status")) is int
        for entry in entries
    ):
        return None
    return entries


def _of_citations(results: Mapping[str, Any], numbers: Mapping[int, int]) -> Iterator[str]:
    tests = [test for entry in results["requirements"] for test in entry["tests"]]
    cited = {number for test in tests for number in test["exchanges"]}
    cited |= {number for test in tests for number in test["evidence"].values()}
    cited |= {
        finding["exchange"]
        for finding in (*results["findings"], *results["advice"])
        if finding["exchange"] is not None
    }
    if missing := sorted(cited - set(numbers)):
        yield (
            f"results.json rests on exchange {missing[0]}"
            f"{f' and {len(missing) - 1} more' if len(missing) > 1 else ''}, which evidence.har "
            f"does not hold: {_AGAIN}"
        )
    unproven = [t for t in tests if t["outcome"] in _LOOKED and not t["exchanges"]]
    if unproven:
        yield f"{len(unproven)} tests in results.json came to an outcome without any exchange"


def _of_statuses(
    results: Mapping[str, Any], entries: Mapping[int, Mapping[str, Any]]
) -> Iterator[str]:
    """Whether each cell has the status of the exchange that its test calls the answer."""
    answers = {
        (entry["id"], test["name"].partition("[")[2]): test["evidence"].get("answer")
        for entry in results["requirements"]
        for test in entry["tests"]
    }
    differing = [
        name
        for cell in results["cells"]
        if (name := cell_name(cell))
        and (number := answers.get((f"PERM-{cell['operation']}", f"{name}]")))
        and number in entries
        and (entries[number]["response"]["status"] or None) != cell["status"]
    ]
    if differing:
        yield (
            f"{len(differing)} cells have another status in results.json than their answer in "
            f"evidence.har ({differing[0]}): {_AGAIN}"
        )
