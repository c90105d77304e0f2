"""Whether results.json and evidence.har speak of the same exchanges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rolecall.finished_run import cell_name
from rolecall.screen import harmless
from rolecall.verification.cells import contradicted_cells
from rolecall.wording import first_few

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
    elif set(numbers) != set(range(1, len(entries) + 1)):
        yield f"the exchanges of evidence.har are not numbered from 1 to {len(entries)}: {_AGAIN}"
    if len(entries) != results["requests"]:
        yield (
            f"evidence.har holds {len(entries)} exchanges and results.json counts "
            f"{results['requests']} requests: {_AGAIN}"
        )
    yield from _of_citations(results, numbers)
    by_number = {entry["_number"]: entry for entry in entries}
    yield from _of_statuses(results, by_number)
    yield from _of_tests(results, entries)
    wrong = list(contradicted_cells(results, by_number))
    if wrong:
        name, why = wrong[0]
        more = f" and of {len(wrong) - 1} more" if len(wrong) > 1 else ""
        yield (
            f"evidence.har contradicts the outcome of {harmless(name)[:80]} ({why}){more}: {_AGAIN}"
        )


def _entries(evidence: Any) -> list[dict[str, Any]] | None:
    """The archive's entries, each with a number and a status; None where it has other things."""
    log = evidence.get("log") if isinstance(evidence, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list) or not all(_is_exchange(entry) for entry in entries):
        return None
    return entries


def _is_exchange(entry: Any) -> bool:
    """Whether an entry has all that is asked of one."""
    if not isinstance(entry, dict):
        return False
    request, response = entry.get("request"), entry.get("response")
    return (
        type(entry.get("_number")) is int
        and isinstance(entry.get("_caller"), str)
        and isinstance(entry.get("_test"), str)
        and all(isinstance(entry.get(name), int | float) for name in ("_started", "_finished"))
        and isinstance(request, dict)
        and isinstance(request.get("method"), str)
        and isinstance(response, dict)
        and type(response.get("status")) is int
        and isinstance(response.get("content"), dict)
    )


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


def _of_tests(results: Mapping[str, Any], entries: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Whether each test that sent something has an outcome in results.json."""
    named = {test["name"] for entry in results["requirements"] for test in entry["tests"]}
    sent = dict.fromkeys(entry["_test"].partition("::")[2] for entry in entries)
    lost = [harmless(test)[:80] for test in sent if test and test not in named]
    if lost:
        yield (
            f"results.json has no outcome of tests that evidence.har has ({first_few(lost, 3)}): "
            f"{_AGAIN}"
        )
