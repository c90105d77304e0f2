"""What comes of judging a run again: both verdicts, and every requirement that differs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

_SAME, _DIFFERS, _IN_PART = 0, 1, 3
_SHOWN = 20  # requirements, with their tests


def comparison(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    missing: Mapping[str, str],
    departure: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Two results.json of one run, compared.

    Args:
        missing: by test, what of its evidence is not there: it cannot be judged again.
        departure: where the replay left the run's course (`rolecall.replay.course`), if it did.

    Returns:
        ``run``, ``then`` and ``now`` (verdict and suite version), ``requirements`` (how many were
        compared), ``differences`` (requirement, then, now, tests), ``not_judged`` (requirement,
        then, tests with the reason) and ``departure``.
    """
    before, after = _outcomes(then), _outcomes(now)
    differences, not_judged = [], []
    for id, (outcome, tests) in before.items():
        again, tests_now = after.get(id, ("not-tested", {}))
        lacking = {name: missing[name] for name in tests if name in missing}
        if lacking:
            not_judged.append({"requirement": id, "then": outcome, "tests": lacking})
        changed = _changes(tests, tests_now, lacking)
        if changed or (not _is_same(outcome, again) and not lacking):
            differences.append({"requirement": id, "then": outcome, "now": again, "tests": changed})
    return {
        "run": then["run"],
        "then": {"verdict": then["verdict"], "suite": then["suite"]["version"]},
        "now": {"verdict": now["verdict"], "suite": now["suite"]["version"]},
        "requirements": len(before),
        "differences": differences,
        "not_judged": not_judged,
        "departure": dict(departure) if departure else None,
    }


def _outcomes(results: Mapping[str, Any]) -> dict[str, tuple[str, dict[str, Mapping[str, Any]]]]:
    return {
        entry["id"]: (entry["outcome"], {test["name"]: test for test in entry["tests"]})
        for entry in results["requirements"]
    }


def _outcome(test: Mapping[str, Any] | None) -> str:
    return test["outcome"] if test else "not-tested"


def _is_same(then: str, now: str) -> bool:
    """Whether two outcomes are one. A waiver is no part of the evidence: what was waived then is
    now the failure, or the missing evidence, that it was.
    """
    return then == now or (then == "waived" and now in ("failed", "inconclusive"))


def _changes(
    then: Mapping[str, Mapping[str, Any]],
    now: Mapping[str, Mapping[str, Any]],
    lacking: Collection[str],
) -> dict[str, dict[str, str]]:
    """By test: what it came to then, and now, where that differs and nothing is lacking."""
    return {
        name: _change(then.get(name), now.get(name))
        for name in dict.fromkeys((*then, *now))
        if name not in lacking and not _is_same(_outcome(then.get(name)), _outcome(now.get(name)))
    }


def _change(then: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> dict[str, str]:
    return {
        "then": _outcome(then),
        "now": _outcome(now),
        "reason_then": then["reason"] if then else "",
        "reason_now": now["reason"] if now else "",
    }


def exit_code(comparison: Mapping[str, Any]) -> int:
    """0: identical; 1: something differs; 3: a part could not be judged again."""
    if comparison["differences"]:
        return _DIFFERS
    return _IN_PART if comparison["not_judged"] else _SAME


def text(comparison: Mapping[str, Any], folder: str) -> str:
    """The comparison for people."""
    then, now = comparison["then"], comparison["now"]
    lines = [
        f"run        {comparison['run']} in {folder}",
        f"then       {then['verdict'].upper()} (rolecall {then['suite']})",
        f"now        {now['verdict'].upper()} (rolecall {now['suite']})",
        *_list("differs", comparison["differences"], _difference),
        *_list("not judged again", comparison["not_judged"], _not_judged),
        *_departure(comparison, folder),
        _sentence(comparison),
    ]
    return "\n".join(lines)


def _list(title: str, entries: list[dict[str, Any]], line: Any) -> Iterable[str]:
    if not entries:
        return
    yield f"{title}:"
    for entry in entries[:_SHOWN]:
        yield from line(entry)
    if len(entries) > _SHOWN:
        yield f"  and {len(entries) - _SHOWN} more (see --json)"


def _difference(entry: Mapping[str, Any]) -> Iterable[str]:
    yield f"  {entry['requirement']}: {entry['then']} -> {entry['now']}"
    for name, change in list(entry["tests"].items())[:3]:
        yield f"    {name}: {change['then']} -> {change['now']}"
        for when in ("then", "now"):
            if change[f"reason_{when}"]:
                yield f"      {when}: {change[f'reason_{when}']}"


def _not_judged(entry: Mapping[str, Any]) -> Iterable[str]:
    yield f"  {entry['requirement']} ({entry['then']} then)"
    for name, reason in list(entry["tests"].items())[:3]:
        yield f"    {name}: {reason}"


def _departure(comparison: Mapping[str, Any], folder: str) -> Iterable[str]:
    """Where the replay left the run's course, if that may be why something is not as then."""
    left = comparison["departure"]
    if not left or exit_code(comparison) == _SAME:
        return
    known = "" if left["is_known"] else ", which is not in the evidence"
    yield f"the replay left the run's course at exchange {left['exchange']}:"
    yield f"  now: {left['now']}, for {left['test']}"
    if left["decision"]:
        yield f"       what it learnt last, beside its answers: {left['decision']}{known}"
    yield f"  then: {left['then']}{_for(left['test_then'])}"
    yield "  What comes after it may differ for that reason alone. If the suite is that of then,"
    yield "  judge again; else look at why the test asks for something else now:"
    yield f"  rolecall show {folder} {left['exchange']}"


def _for(test: str) -> str:
    return f", for {test}" if test else ""


def _sentence(comparison: Mapping[str, Any]) -> str:
    count, differ = comparison["requirements"], len(comparison["differences"])
    open_ = len(comparison["not_judged"])
    if differ:
        return f"{differ} of {count} requirements have another outcome than then."
    if open_:
        return (
            f"{open_} of {count} requirements cannot be judged again from the evidence; the others "
            "have the same outcome as then."
        )
    return f"All {count} requirements have the same outcome as then."
