"""Whether what a run says of itself fits together: its times, its target, its way to an expired
token, its waivers, and the suite that it names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rolecall import __version__
from rolecall.screen import harmless
from rolecall.suite_identity import identity
from rolecall.wording import first_few

#: Clocks are set while a run is at work; a run of another day is another run.
_LEEWAY = timedelta(days=1)
#: Grades of evidence for expiry, and the setting without which a run cannot have it.
_NEEDS = {"A": "bank", "A-": "clock_url", "B": "signing_key", "C": "wait", "D": "command"}
_BY_HAND = "the file was put together by hand"
_AGAIN = "results and evidence are not of one run; ask for its own files"


def consistency_faults(
    results: Mapping[str, Any], evidence: Any, replay: Mapping[str, Any]
) -> Iterator[str]:
    """A sentence on each contradiction.

    ``results`` follows its schema, and `agreement_faults` has nothing to say of the others.
    """
    yield from _of_times(results, evidence["log"]["entries"], replay)
    yield from _of_target(results, replay)
    yield from _of_what_decides(results)
    yield from _of_suite(results["suite"])


def _of_times(
    results: Mapping[str, Any], entries: list[Mapping[str, Any]], replay: Mapping[str, Any]
) -> Iterator[str]:
    """The run's id has its day, and so have results, exchanges and replay."""
    begun = _day_of(results["started"])
    told = {
        "its id": _of_id(results["run"]),
        "replay.json": _of_seconds(replay.get("started")),
        "evidence.har": _day_of(entries[0].get("startedDateTime")) if entries else begun,
    }
    other = [name for name, day in told.items() if not _is_same_day(begun, day)]
    if other:
        yield f"results.json has another day for the run than {first_few(other, 4)}: {_AGAIN}"
    ended = _day_of(results["finished"])  # a run may wait for days until a token has expired
    if begun and ended and ended < begun - _LEEWAY:
        yield f"results.json has an end of the run before its beginning: {_BY_HAND}"


def _is_same_day(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and other is not None and abs(one - other) <= _LEEWAY


def _of_target(results: Mapping[str, Any], replay: Mapping[str, Any]) -> Iterator[str]:
    """replay.json is of the same server, and has a way to the evidence of expiry."""
    target = replay.get("target")
    target = target if isinstance(target, dict) else {}
    if any(target.get(name) != results["target"][name] for name in ("name", "base_url")):
        yield f"replay.json is of another target than results.json: {_AGAIN}"
        return
    expiry = target.get("expiry")
    needed = _NEEDS.get(results["expiry_evidence"])
    if needed and not (isinstance(expiry, dict) and expiry.get(needed)):
        yield (
            f"results.json has evidence of expiry of grade {results['expiry_evidence']}, and the "
            f"run had no {needed} by replay.json: {_AGAIN}"
        )


def _of_what_decides(results: Mapping[str, Any]) -> Iterator[str]:
    """Exit code 0 leaves nothing behind, and rests on waivers of that day alone."""
    if results["left_behind"]:
        yield "results.json has exit code 0 and names things left on the target, which is 7"
    waivers = results.get("waivers") or []
    gone = [w for w in waivers if w["state"] in ("stale", "expired")]
    day = results["started"][:10]  # ISO dates are in the order of their texts
    gone += [w for w in waivers if w["state"] == "live" and w["until"] < day]
    if gone:
        named = first_few([harmless(waiver["requirement"])[:80] for waiver in gone], 3)
        yield f"results.json has exit code 0 and a waiver that is stale or has expired ({named})"
    covered = {test for w in waivers if w["state"] == "live" for test in w["failures"]}
    uncovered = [
        test["name"]
        for entry in results["requirements"]
        for test in entry["tests"]
        if test["outcome"] == "waived" and test["name"] not in covered
    ]
    if uncovered and waivers:
        named = first_few([harmless(name)[:80] for name in uncovered], 3)
        yield f"no waiver in force covers what is waived ({named}): {_BY_HAND}"


def _of_suite(suite: Mapping[str, Any]) -> Iterator[str]:
    """Who names the program that checks has its version, and its figures of faults."""
    ours = identity()
    said = (suite["package"], suite["version"], suite["kill_table"])
    if said[0] == ours["package"] and said != (ours["package"], __version__, ours["kill_table"]):
        yield (
            "results.json names the suite that checks it, and another version or other figures of "
            f"its known faults: {_BY_HAND}"
        )
    kills = suite["kill_table"]
    if kills["caught"] > kills["faults"] or kills["false_alarms"] > kills["innocent"]:
        yield f"the figures of known faults in results.json cannot be: {_BY_HAND}"


def _day_of(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def _of_id(run: str) -> datetime | None:
    """When a run began, by its id: ``20261126-120000-abcdef``, in UTC."""
    try:
        return datetime.strptime(run[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _of_seconds(seconds: Any) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None
