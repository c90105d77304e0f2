"""What a run found, by cause: a run with fifty findings has perhaps two, and one that could not
decide 160 cells perhaps three.

Pure functions of results.json. The terminal, the page, JUnit, SARIF and the Markdown summary all
show these blocks.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rolecall.spec.model import DECIDING, READING_OF_SUCCESS
from rolecall.wording import counted

Finding = Mapping[str, Any]

#: `Exchange.__str__` in a sentence of ours: ``GET /v2/users as guest (token) -> 404 (exchange 7)``.
EXCHANGE = re.compile(
    r"\b(?P<method>[A-Z]{3,16}) (?P<path>/\S{0,400}) as .{1,80}? -> (?P<answer>.{1,200}?) "
    r"\(exchange (?P<number>\d+)\)"
)
_STATUS = re.compile(r"(\d{3})\b")
_STATUSES = re.compile(r"\d{3}(?:(?:, | or )\d{3})*\b")
#: Expectations that are refusals without naming a status.
_REFUSAL = re.compile(r"\b(?:refus\w*|denied|denial|reject\w*|no token|not let in|may not)\b")
#: What differs between two answers of one kind: quoted texts, ids, and numbers but for statuses.
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_ID = re.compile(r"\b(?![A-Z]+-)(?=[\w-]*\d)[\w-]{12,}\b")  # no requirement's
_NUMBER = re.compile(r"(?<![\w.])(?![1-5]\d\d\b)\d[\d,.]*(?<=\d)")
_DONE = re.compile(r"\b(?:created|updated|deleted)\b")
_ASIDE = re.compile(r"\s*\([^()]*\)")
#: Answers by the first digit of their status (RFC 9110 15).
_ANSWERS = {"2": "a success", "3": "a redirect", "4": "a refusal", "5": "a server error"}
_LONGEST_KIND = 60  # characters of each half
_LOOKED_AT = 2000  # characters of a text, which may be a target's


@dataclass(frozen=True)
class Cause:
    """The failed tests of one requirement that were answered in one way.

    ``tests`` are the names of those tests, ``total`` is how many tests the requirement has.
    ``expected``, ``actual``, ``curl`` and ``exchange`` (a number in evidence.har, or None) are
    those of ``test``, which stands for all; ``caller`` sent its request. ``look_at`` says where to
    look first. ``signature`` is the same as long as the cause is, whichever status the server
    refuses or errs with.
    """

    requirement: str
    level: str
    clause: str
    statement: str
    step: str
    kind: str
    tests: tuple[str, ...]
    total: int
    test: str
    expected: str
    actual: str
    curl: str | None
    exchange: int | None
    look_at: str
    caller: str = ""
    signature: str = ""

    @property
    def facts(self) -> list[str]:
        """What a test's failure says in a report of tests: a line for each, with its name."""
        lines = [
            f"cause:    {self.kind}, {len(self.tests)} of {counted(self.total, 'test')}",
            f"expected: {self.expected}",
            f"actual:   {self.actual}",
            f"look at:  {self.look_at}",
        ]
        lines += [f"try:      {self.curl}"] if self.curl else []
        return lines + ([f"exchange: {self.exchange}"] if self.exchange else [])

    @property
    def names(self) -> tuple[str, ...]:
        """The tests by what tells them apart: the parameters of those that have any."""
        return tuple(map(short_name, self.tests))


def causes(results: Mapping[str, Any]) -> list[Cause]:
    """The causes of the verdict's findings, in their order: every failed requirement has one."""
    return [_cause(group, group.first) for group in _grouped(results, results["findings"])]


def advice(results: Mapping[str, Any]) -> list[Cause]:
    """The same of hardening, which decides nothing."""
    return [_cause(group, group.first) for group in _grouped(results, results["advice"])]


def by_test(results: Mapping[str, Any]) -> dict[tuple[str, str], Cause]:
    """The cause of each failed test, by requirement and test, with that test's own answer,
    exchange and line to paste.
    """
    return {
        (finding["requirement"], finding["test"]): _cause(group, finding)
        for found in (results["findings"], results["advice"])
        for group in _grouped(results, found)
        for finding in group.findings
    }


def deciding(results: Mapping[str, Any]) -> Counter[str]:
    """How many requirements that decide the verdict there are of each outcome."""
    return Counter(
        requirement["outcome"]
        for requirement in results["requirements"]
        if requirement["level"] in DECIDING
    )


def short_name(test: str) -> str:
    """``list-users`` of ``test_it_is_refused[list-users]``; a test without parameters by its
    words.
    """
    _, bracket, parameters = test.partition("[")
    return parameters.removesuffix("]") if bracket else test.removeprefix("test_").replace("_", "-")


@dataclass(frozen=True)
class _Group:
    """Findings that belong together; how many tests their requirement has, and the failed
    requirement that they may follow from, as a sentence.
    """

    findings: Sequence[Finding]
    total: int
    earlier: str

    @cached_property
    def first(self) -> Finding:
        """The one that stands for all: the first that expects a status and can be tried, at once
        where there is such a one.
        """
        return min(
            self.findings,
            key=lambda finding: (
                not finding["curl"],
                not _STATUSES.match(finding["expected"]),
                bool(finding.get("waited")),
            ),
        )

    @cached_property
    def kind(self) -> str:
        """In a few words: ``401 instead of 403``; without ids, and so the same in the next run."""
        found = self.findings
        answers = [EXCHANGE.sub(r"\g<answer>", finding["actual"][:_LOOKED_AT]) for finding in found]
        statuses = sorted({match[1] for text in answers if (match := _STATUS.match(text))})
        more = _answer(self.first["actual"])[3:]
        actual = listed(statuses) + more if statuses else answers[found.index(self.first)]
        return f"{_short(actual)} instead of {_short(_wanted(self.first['expected']))}"

    @cached_property
    def tests(self) -> tuple[str, ...]:
        """Their names, each once."""
        return tuple(dict.fromkeys(finding["test"] for finding in self.findings))


def _grouped(results: Mapping[str, Any], findings: Iterable[Finding]) -> list[_Group]:
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        key = finding["requirement"], _expectation(finding["expected"]), _answer(finding["actual"])
        groups.setdefault(key, []).append(finding)
    totals = {entry["id"]: len(entry["tests"]) for entry in results["requirements"]}
    failed = [finding["requirement"] for finding in results["findings"]]
    depends = {entry["id"]: entry.get("depends", ()) for entry in results["requirements"]}
    return [
        _Group(group, totals.get(id, len(group)), _earlier(id, depends, failed))
        for (id, *_), group in groups.items()
    ]


def _cause(group: _Group, shown: Finding) -> Cause:
    """One block, with one of its findings as that which is shown."""
    return Cause(
        requirement=shown["requirement"],
        level=shown["level"],
        clause=shown["clause"],
        statement=shown["statement"],
        step=shown.get("step", ""),
        kind=group.kind,
        tests=group.tests,
        total=group.total,
        test=shown["test"],
        expected=shown["expected"],
        actual=shown["actual"],
        curl=shown["curl"],
        exchange=shown["exchange"],
        look_at=group.earlier or f"{_look_at(shown)}{_hint_of_waiting(shown)}",
        caller=shown.get("caller") or "",
        signature=_signature(group.first),
    )


# --- Kinds of answers ---------------------------------------------------------------------------


def plain(text: str) -> str:
    """A text without what differs between answers of one kind: ids, values, numbers."""
    text = EXCHANGE.sub(r"\g<answer>", text[:_LOOKED_AT])
    return _DONE.sub("done", _NUMBER.sub("N", _ID.sub("ID", _QUOTED.sub("...", text))))


def _expectation(expected: str) -> str:
    """What kind of answer was expected: a refusal, a success, or the text itself."""
    if found := _STATUSES.match(expected):
        return "a refusal" if int(found[0][:3]) >= 400 else "a success"
    return "a refusal" if _REFUSAL.search(expected) else plain(expected)


def _answer(actual: str) -> str:
    """The kind of an answer: successes are alike, and so are server errors, but for what else is
    said of them.
    """
    text = plain(actual)
    found = _STATUS.match(text)
    if not found:
        return text
    status, more = found[1], text[found.end() :]
    word = f"{status[0]}xx" if status[0] in "25" else status
    return word + (more if more.startswith((" ", ", and", ": later")) else "")


def _signature(finding: Finding) -> str:
    """Which kind of answer came where which was expected, in words without a number."""
    answer = _answer(finding["actual"])
    if kind := _ANSWERS.get(answer[:1]) if re.match(r"\d(?:\d\d|xx)", answer) else "":
        answer = kind + answer[3:]
    return re.sub(r"\d+", "N", f"{answer} instead of {_expectation(finding['expected'])}")


def _wanted(expected: str) -> str:
    """The beginning of an expectation that names a status, or a refusal; else the whole of it."""
    found = _STATUSES.match(expected) or re.match(r"a (?:refusal|success)(?=[:,])", expected)
    return found[0] if found else expected


def listed(statuses: Sequence[str]) -> str:
    """``401, 403 or 404``."""
    return " or ".join(filter(None, (", ".join(statuses[:-1]), statuses[-1])))


def _short(text: str) -> str:
    text = _ID.sub("...", " ".join(_ASIDE.sub("", text).split()) or text)
    if len(text) <= _LONGEST_KIND:
        return text
    return f"{text[:_LONGEST_KIND].rsplit(' ', 1)[0]} ..."


# --- What to look at first ----------------------------------------------------------------------


def _earlier(requirement: str, depends: Mapping[str, Sequence[str]], failed: Sequence[str]) -> str:
    """The failed requirement that this failure may follow from, as a sentence, if there is one."""
    above, seen = list(depends.get(requirement, ())), set[str]()
    while above:
        id = above.pop(0)
        if id in failed:
            return f"{id} first: this may follow from it"
        if id not in seen:
            seen.add(id)
            above += depends.get(id, ())
    return ""


#: What is said of a refused request that had an effect.
_EFFECT = re.compile(r"(?:, and|: later) .*\b(?:done|gone|changed|any more)\b")

#: Expectations whose place in the server is another than that of the answer.
_PLACES = {
    r"^a refusal, or a token (?:with|that)\b": "from what the server takes the user, the scope and "
    "the life of a token: the credentials alone may decide them",
    r"^(?:role|scope) .* as before$": "which members an update of one's own user may set, in each "
    "form of it: PATCH, PUT, nested, as a list, as another media type",
    r"another one in its last character": "how many characters of a password are compared: bcrypt "
    "looks at its first 72 bytes, so that a longer one is to be refused where it is set",
    r" as it was$": "by what the server finds the thing that it writes, and for which thing it "
    "asks whether the caller may",
}


def _look_at(finding: Finding) -> str:
    """Where in the server such an answer is made."""
    actual, expected = _answer(finding["actual"]), _expectation(finding["expected"])
    status, more = actual[:3], actual[3:]
    if status == "5xx":
        return "the server's log at the time of that exchange: it ended in an error of its own"
    if status[:1] == "4" and _EFFECT.match(more):
        return (
            "what the request does before it is refused: the check comes too late, or misses a part"
        )
    if finding.get("cell"):
        return _look_at_cell(finding, status, expected)
    for pattern, place in _PLACES.items():
        if re.search(pattern, finding["expected"]):
            return place
    if status.isdigit() and more:
        return "what the answer in that exchange holds besides its status"
    known = {
        ("a refusal", True): "why the server let this request in, and whether it was done before "
        "it was checked",
        ("a refusal", False): "which check refuses it, and why by a redirect, which is no refusal"
        if status[:1] == "3"
        else "which check refuses it, and with what status; where that status is meant, the target "
        "file's [dialect] can say so (docs/readings.md)",
        ("a success", True): "whether this status is meant; where it is, the target file's "
        "[dialect] can say so (docs/readings.md)",
        ("a success", False): "what the body of the refusal says, and the check that refuses",
    }
    has_status = (status == "2xx" or status.isdigit()) and not _is_expected(finding)
    key = expected, status == "2xx"
    return known.get(key if has_status else ("", False), "the answer in that exchange")


def _is_expected(finding: Finding) -> bool:
    """Whether the answer's status is one of those that were expected: something else is wrong."""
    expected = _STATUSES.match(finding["expected"])
    return expected is not None and finding["actual"][:3] in expected[0]


def _hint_of_waiting(finding: Finding) -> str:
    """What may be meant where a test waited in vain: a cache that keeps things for longer."""
    seconds = finding.get("waited")
    return (
        f"; it was so for {seconds:g} s: where that is meant to take longer, [dialect] consistency "
        "in the target file"
        if seconds
        else ""
    )


def _look_at_cell(finding: Finding, status: str, expected: str) -> str:
    operation, role, credential = _parts(finding["cell"])
    if expected == "a success":
        if status == "2xx":
            reading = READING_OF_SUCCESS[operation.partition("-")[0]]
            return f"whether this status is meant: {_dialect(reading, finding)}"
        return f"the right of {role} to {operation}, with its {credential}, on the server"
    if status == "2xx" and expected.endswith("in the answer"):
        return f"what {operation} shows to {role}, and why this thing is not among it"
    if status == "2xx" and expected != "a refusal":
        return f"whether {operation} does what its answer to {role} says, and before it is sent"
    if status == "2xx":
        return f"the check of the caller's role at {operation}: {role} gets past it"
    which = (
        f"which check refuses {operation} to {role}: the one of the role, or one before it (of the "
        "credential, or of the path)"
    )
    is_refusal = status[:1] == "4" and expected == "a refusal"
    return (
        f"{which}; where that status is meant, {_dialect('denied', finding)}"
        if is_refusal
        else which
    )


def _dialect(reading: str, finding: Finding) -> str:
    """How a target file says that the status of a finding is meant, besides those expected."""
    expected = re.findall(r"[1-5][0-9]{2}", finding["expected"].partition(":")[0])
    statuses = [*expected, finding["actual"][:3]]
    return f"the target file can say so, [dialect] {reading} = [{', '.join(statuses)}]"


def _parts(cell: str) -> tuple[str, str, str]:
    """Operation, role and credential of ``list-users-guest-api-key``."""
    credential = "api-key" if cell.endswith("-api-key") else "token"
    operation, _, role = cell.removesuffix(f"-{credential}").rpartition("-")
    return operation, role, credential
