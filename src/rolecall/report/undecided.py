"""What a run did not decide, by cause: 160 inconclusive cells have perhaps three.

A test that proved nothing mostly says which answer stood in its way, so tests belong together where
that answer had one status; operations that answer to everybody as if they were not there are one
cause. A pure function of results.json.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rolecall.error_words import ABSENT
from rolecall.report.causes import EXCHANGE, listed, plain, short_name
from rolecall.wording import first_few

#: In the order in which they are shown, with the words for them.
OUTCOMES = {
    "error": "The harness broke",
    "inconclusive": "Not decided",
    "not-tested": "Not tested",
    "not-applicable": "Not applicable to this target",
}
#: How the reason begins of a test that failed and passed at its second try.
FLAKY = "flaky: "
_NAMED = 3  # requests in a sentence
_ID = re.compile(r"/(?=[^/]*\d)[^/]{8,}")


@dataclass(frozen=True)
class Undecided:
    """The tests that were left open for one cause.

    ``outcome`` is that of the first test, ``tests`` are pairs of a requirement and a test's name.
    ``reason``, ``look_at`` and ``exchange`` (a number in evidence.har, or None) are those of the
    first test, but for operations that seem not to be there, which ``operations`` names.
    """

    outcome: str
    kind: str
    tests: tuple[tuple[str, str], ...]
    reason: str
    look_at: str
    exchange: int | None
    operations: tuple[str, ...] = ()

    @property
    def requirements(self) -> tuple[str, ...]:
        """The requirements of these tests, each once."""
        return tuple(dict.fromkeys(requirement for requirement, _ in self.tests))


@dataclass
class _Group:
    outcome: str
    tests: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    operations: dict[str, int] = field(default_factory=dict)  # with the status of their answers


def undecided(results: Mapping[str, Any]) -> list[Undecided]:
    """The causes of everything that neither passed nor failed, the harness's own errors first."""
    silent = _silent(results["cells"])
    groups: dict[tuple[str, ...], _Group] = {}
    said: dict[tuple[str, ...], tuple[str, ...]] = {}
    for requirement, test in _open(results):
        absent = next((name for name in _named(test) if name in silent), "")
        key = ("absent",) if absent and _status(test) in ABSENT else _key(test)
        if test["outcome"] == "not-tested" and not test.get("capability"):
            key = _followed(requirement, groups) or key
        if key != ("absent",):  # what reads alike is one cause, whatever capability it needs
            key = said.setdefault((test["outcome"], test["reason"], test["look_at"]), key)
        group = groups.setdefault(key, _Group(test["outcome"]))
        group.tests.append((requirement, test))
        if key == ("absent",) and absent:
            group.operations.setdefault(absent, _status(test))
    return [_cause(group) for group in groups.values()]


def by_test(results: Mapping[str, Any]) -> dict[tuple[str, str], Undecided]:
    """The cause of each open test, by requirement and test."""
    return {test: cause for cause in undecided(results) for test in cause.tests}


def _open(results: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every open test with its requirement's id."""
    for outcome in OUTCOMES:
        for requirement in results["requirements"]:
            for test in requirement["tests"]:
                if test["outcome"] == outcome:
                    yield requirement["id"], test


def _silent(cells: Sequence[Mapping[str, Any]]) -> set[str]:
    """The operations of which no answer to anybody shows that they are there."""
    there = {
        cell["operation"]
        for cell in cells
        if cell["outcome"] == "passed" or cell["status"] not in (None, *ABSENT)
    }
    return {cell["operation"] for cell in cells} - there


def _named(test: Mapping[str, Any]) -> list[str]:
    """The operations that a test tells one to look at."""
    text = f"{test['look_at']} {test['reason']}"
    return re.findall(r"(?:\[operations\.|PERM-)([a-z-]+[a-z])", text)


def _status(test: Mapping[str, Any]) -> int:
    """The status of the answer that stood in a test's way; 0 where there was none."""
    found = EXCHANGE.search(test["reason"])
    return int(found["answer"]) if found and found["answer"].isdigit() else 0


def _lacking(reason: str) -> str:
    """What lacks where the answer was a success: its status alone does not say what is wrong."""
    found = EXCHANGE.search(reason)
    is_success = found is not None and found["answer"].startswith("2")
    if found is None or not is_success or reason.startswith(FLAKY):
        return ""
    return reason[: found.start()].removeprefix("missing: ").rstrip(" (:")


def _key(test: Mapping[str, Any]) -> tuple[str, ...]:
    if test["outcome"] == "inconclusive" and (found := EXCHANGE.search(test["reason"])):
        kind = "flaky" if test["reason"].startswith(FLAKY) else "answer"
        return ("inconclusive", kind, plain(found["answer"]), plain(_lacking(test["reason"])))
    name, reason = short_name(test["name"]), test["reason"]
    if name not in test["look_at"] and f"[accounts.{name}]" not in reason:
        reason = reason.replace(name, "...")
    return (test["outcome"], test.get("capability") or plain(reason), test["look_at"])


def _followed(requirement: str, groups: Mapping[tuple[str, ...], _Group]) -> tuple[str, ...]:
    """The cause that left the same requirement open before: a test over its results follows."""
    return next(
        (
            key
            for key, group in groups.items()
            if group.outcome in ("error", "inconclusive")
            and any(id == requirement for id, _ in group.tests)
        ),
        (),
    )


def _cause(group: _Group) -> Undecided:
    _, first = group.tests[0]
    found = EXCHANGE.search(first["reason"])
    look_at = first["look_at"]
    if group.operations:
        look_at = (
            "[operations] in the target file, if they are done elsewhere; base_url, if all of them "
            "are"
        )
    elif others := _other_operations(group, look_at):
        look_at += f"; likewise {listed([f'[operations.{name}]' for name in others])}"
    return Undecided(
        outcome=first["outcome"],
        kind=_kind(group),
        tests=tuple((requirement, test["name"]) for requirement, test in group.tests),
        reason=first["reason"],
        look_at=look_at,
        exchange=int(found["number"]) if found else next(iter(first["evidence"].values()), None),
        operations=tuple(group.operations),
    )


def _other_operations(group: _Group, look_at: str) -> list[str]:
    """The operations that other tests of a group tell one to look at in the target file, where the
    first one tells of one.
    """
    of = re.compile(r"\[operations\.([a-z-]+)\]")
    told = of.findall(look_at)
    found = (name for _, test in group.tests for name in of.findall(test["look_at"]))
    return [name for name in dict.fromkeys(found) if name not in told] if told else []


def _kind(group: _Group) -> str:
    if group.operations:
        statuses = listed([str(status) for status in sorted(set(group.operations.values()))])
        many = len(group.operations) > 1
        return (
            f"{len(group.operations)} operation{'s seem' if many else ' seems'} not to be there: "
            f"{statuses} to everybody"
        )
    _, first = group.tests[0]
    said = f" {first['said']!r}" if first.get("said") else ""
    if first["outcome"] == "inconclusive" and (found := EXCHANGE.search(first["reason"])):
        requests = dict.fromkeys(
            f"{seen['method']} {_shape(seen['path'])}"
            for _, test in group.tests
            if (seen := EXCHANGE.search(test["reason"]))
        )
        answered = f"{found['answer']}{said} to {first_few(list(requests), _NAMED)}"
        if lacking := _lacking(first["reason"]):
            return f"{lacking}: {answered}"
        is_flaky = first["reason"].startswith(FLAKY)
        return f"{FLAKY}{answered}, as expected at the second try" if is_flaky else answered
    reasons = {test["reason"] for _, test in group.tests}
    ends = {reason.rpartition(": ")[2] for reason in reasons}
    text = ends.pop() if len(reasons) > 1 and len(ends) == 1 else first["reason"]
    text = text.removeprefix("missing: ").removeprefix("not applicable: ")
    return EXCHANGE.sub(
        lambda found: f"{found['method']} {found['path']} -> {found['answer']}{said}", text, count=1
    )


def _shape(path: str) -> str:
    return _ID.sub("/...", path.partition("?")[0])


def by_outcome(found: Sequence[Undecided]) -> dict[str, list[Undecided]]:
    """The causes of each outcome that there is, in the order in which outcomes are shown."""
    every = {name: [cause for cause in found if cause.outcome == name] for name in OUTCOMES}
    return {name: these for name, these in every.items() if these}
