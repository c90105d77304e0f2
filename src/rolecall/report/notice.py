"""What a person should be told of a run: its state, and what of it is news."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from rolecall.report.comparison import same_target
from rolecall.report.trend import trends
from rolecall.report.undecided import FLAKY
from rolecall.screen import harmless
from rolecall.spec.model import DECIDING
from rolecall.wording import first_few

#: How a run ended where its verdict is not all that must be said, by exit code: whoever keeps
#: the server is not called when it was something else.
ENDED = {
    2: "not run: the target file is wrong, or a log-in was refused",
    4: "not run: the target was not reached",
    5: "a waiver is stale or has expired",
    6: "Rolecall itself broke",
    7: "things were left on the target",
    8: "a secret was masked in a report",
    130: "interrupted",
}
#: Exit codes of runs that did not look at everything: of what fails nothing is known.
_CUT_SHORT = frozenset({2, 4, 6, 130})
_SAID_OTHERWISE = frozenset({5})
_OF_VERDICTS = frozenset({1, 3})  # exit codes that say what the verdict says
#: What the reason of a run holds in which requirements were not tested.
_UNTESTED = "because not tested"
_MOST = 10  # names in a sentence

State = Mapping[str, Any]

#: A run that no one has to be told of.
GOOD: State = {"exit_code": 0, "verdict": "conformant", "failing": [], "waivers": []}


def ended(exit_code: int) -> str:
    """How a run ended, in words; empty where its verdict says it."""
    return ENDED.get(exit_code, "")


def state_of(results: Mapping[str, Any], flaky: Collection[str] = ()) -> dict[str, Any]:
    """The state that a run found: ``exit_code``, ``verdict``, the ids of ``failing`` requirements
    that decide, and sentences on ``waivers`` that have to go.

    A requirement that is known to be ``flaky``, or passed at a second try, is no news, neither when
    it fails nor when it does not: where only such ones stand in the way, the state is good.
    """
    failed = dict.fromkeys(finding["requirement"] for finding in results["findings"])
    failing = sorted(set(failed) - set(flaky))
    code = results["exit_code"]
    if code in _CUT_SHORT:
        return state_without_run(code)
    verdict = _verdict(results, failing, flaky)
    return {
        "exit_code": 0 if verdict == GOOD["verdict"] and code in _OF_VERDICTS else code,
        "verdict": verdict,
        "failing": failing,
        "waivers": sorted(_faulty(results.get("waivers") or ())),
    }


def _verdict(results: Mapping[str, Any], failing: list[str], flaky: Collection[str]) -> str:
    """The verdict if what is flaky were not there. That of a part that passed is as good as that of
    a whole run: which parts are compared with each other is the caller's matter.
    """
    verdict = str(results["verdict"])
    if failing or verdict in (GOOD["verdict"], "part-passed"):
        return verdict if failing else GOOD["verdict"]
    undecided = [
        entry
        for entry in results["requirements"]
        if entry["level"] in DECIDING and entry["outcome"] in ("inconclusive", "error")
    ]
    is_open = (
        any(_UNTESTED in reason for reason in results["reasons"])
        or any(entry["id"] not in flaky and not _passed_at_last(entry) for entry in undecided)
        or (verdict == "inconclusive" and not undecided)
    )
    return "inconclusive" if is_open else GOOD["verdict"]


def _passed_at_last(requirement: Mapping[str, Any]) -> bool:
    """Whether each test that was left open failed once and passed at the second try."""
    tests = [test for test in requirement["tests"] if test["outcome"] in ("inconclusive", "error")]
    return bool(tests) and all(test["reason"].startswith(FLAKY) for test in tests)


def _faulty(waivers: Collection[Mapping[str, Any]]) -> Iterator[str]:
    for waiver in waivers:
        if waiver["state"] in ("expired", "stale"):
            what = waiver["cell"] or waiver["requirement"]
            yield f"the waiver of {what} ({waiver['owner']}) {_gone(waiver)}"


def _gone(waiver: Mapping[str, Any]) -> str:
    if waiver["state"] == "stale":
        return "is not needed any more"
    return f"ended on {waiver['until']}"


def state_without_run(exit_code: int) -> dict[str, Any]:
    """The state where a run did not begin, or did not come to its end."""
    return {**GOOD, "exit_code": exit_code, "verdict": ""}


def remembered(before: State | None, now: State) -> dict[str, Any]:
    """What the next run's state is compared with. On a night without a run nobody looked, so what
    failed before, and the waivers that had to go, still stand.
    """
    if now["verdict"] or before is None:
        return dict(now)
    return {**now, "failing": before["failing"], "waivers": before["waivers"]}


def flaky_of(history: Collection[Mapping[str, Any]], target: Mapping[str, Any]) -> set[str]:
    """The requirements of a target that its history calls flaky."""
    return {
        failure["name"]
        for trend in trends(list(history))
        if same_target(trend["target"], target)
        for failure in trend["failures"]
        if failure["what"] == "requirement" and failure["kind"] == "flaky"
    }


def news(before: State | None, now: State) -> list[str]:
    """What has changed since the state that was told last, a sentence each; empty where nothing
    has. Without one, whatever is not good is news.
    """
    was = f"; it was {_standing(before)}" if before else ""
    return [harmless(sentence) for sentence in _news(before or GOOD, now, was)]


def _news(before: State, now: State, was: str) -> Iterator[str]:
    if _standing(before) != _standing(now):
        yield f"{_standing(now)}{was}"
    if not now["verdict"]:  # of what fails nothing is known
        return
    came = [id for id in now["failing"] if id not in before["failing"]]
    went = [id for id in before["failing"] if id not in now["failing"]]
    if came:
        yield f"fails now: {first_few(came, _MOST)}"
    if went:
        yield f"fails no more: {first_few(went, _MOST)}"
    yield from (sentence for sentence in now["waivers"] if sentence not in before["waivers"])


def _standing(state: State) -> str:
    """Verdict and end in words, without what failing requirements and waivers say themselves."""
    end = "" if state["exit_code"] in _SAID_OTHERWISE else ended(state["exit_code"])
    return ", ".join(filter(None, (state["verdict"], end)))
