"""From finished tests to a verdict, in memory: what is proven, excused, and said of the rest.

Longer than 400 lines because every rule of the verdict has its test.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from rolecall.errors import ExitCode
from rolecall.harness.results import TestResult as Tested
from rolecall.harness.results import (
    Verdict,
    advice,
    counts,
    findings,
    is_good_part,
    judge,
    order_of,
    outcome_of,
    requirement_outcomes,
)
from rolecall.outcomes import Outcome
from rolecall.spec.loading import load_specification
from rolecall.spec.model import (
    API_KEY,
    API_KEYS,
    CAPABILITIES,
    LAST_MINUTE,
    SECOND_USER,
    SIGNING_KEY,
    TOKEN,
    Cell,
)
from tests.support.exchanges import exchange

SPEC = load_specification()
PASSED, FAILED, INCONCLUSIVE, ERROR = (
    Outcome.PASSED,
    Outcome.FAILED,
    Outcome.INCONCLUSIVE,
    Outcome.ERROR,
)
NOT_TESTED, NOT_APPLICABLE = Outcome.NOT_TESTED, Outcome.NOT_APPLICABLE


def result(
    requirement: str, outcome: Outcome = PASSED, *, lacks: str = "", reason: str = "a reason"
) -> Tested:
    """One test of a requirement; ``lacks`` is the capability that it needed."""
    return Tested("test", requirement, outcome, reason=reason, capability=lacks)


def all_passed(*others: Tested) -> list[Tested]:
    """A whole run in which every requirement's one test passed, and what else was tested."""
    return [*(result(id) for id in SPEC.requirements), *others]


def verdict_of(
    results: list[Tested], *, selected: bool = False, left: tuple[str, ...] = (), aborted: str = ""
) -> Verdict:
    """The verdict over these results."""
    return judge(SPEC, results, selected, list(left), aborted)


# --- One requirement ---------------------------------------------------------------------------

#: From the outcome that decides over all others to the one that never does.
RANKS = (ERROR, FAILED, INCONCLUSIVE, NOT_TESTED, Outcome.WAIVED, PASSED, NOT_APPLICABLE)


@pytest.mark.parametrize(
    ("worse", "better"),
    [(a, b) for a, b in permutations(RANKS, 2) if RANKS.index(a) < RANKS.index(b)],
)
def test_the_worse_outcome_decides(worse: Outcome, better: Outcome) -> None:
    """Of two tests of a requirement the one that proves less decides, in either order."""
    pair = [result("AUTH-required", better), result("AUTH-required", worse)]

    assert outcome_of(pair) is outcome_of(reversed(pair)) is worse


def test_nothing_at_all_is_not_tested() -> None:
    """A requirement without a finished test is not tested."""
    assert outcome_of([]) is NOT_TESTED


@pytest.mark.parametrize("lacks", [*CAPABILITIES, ""])
def test_only_the_named_capability_excuses(lacks: str) -> None:
    """A test that was not tested is set aside if it lacked just what its requirement names, and
    leaves it unproven otherwise.
    """
    tests = [result("KEY-scopes"), result("KEY-scopes", NOT_TESTED, lacks=lacks)]

    assert outcome_of(tests, API_KEYS) is (PASSED if lacks == API_KEYS else NOT_TESTED)


def test_what_is_excused_alone_is_not_tested() -> None:
    """A requirement all of whose tests are excused is still none that passed."""
    assert outcome_of([result("KEY-scopes", NOT_TESTED, lacks=API_KEYS)], API_KEYS) is NOT_TESTED


def test_a_capability_is_one_that_tests_can_lack() -> None:
    """What a requirement names is a word that an exception can carry; a typing error would excuse
    nothing, or never end.
    """
    named = {entry.capability: id for id, entry in SPEC.requirements.items()}

    assert {name: id for name, id in named.items() if name not in (*CAPABILITIES, "")} == {}


# --- The verdict -------------------------------------------------------------------------------


def test_everything_passed_is_conformant() -> None:
    """A whole run in which each requirement passed is conformant, exit code 0, and there is nothing
    more to say.
    """
    assert verdict_of(all_passed()) == Verdict("conformant", ExitCode.CONFORMANT, [])


@pytest.mark.parametrize(
    ("outcome", "word", "code", "reason"),
    [
        (FAILED, "not-conformant", ExitCode.FAILED, "1 requirement failed: {}"),
        (
            INCONCLUSIVE,
            "inconclusive",
            ExitCode.INCONCLUSIVE,
            "1 requirement could not be decided: {}",
        ),
        (
            NOT_TESTED,
            "inconclusive",
            ExitCode.INCONCLUSIVE,
            "1 requirement not proven, because not tested: {}",
        ),
        (ERROR, "inconclusive", ExitCode.HARNESS_ERROR, "the harness broke at {}"),
    ],
)
def test_one_test_that_does_not_prove_keeps_it_from_being_conformant(
    outcome: Outcome, word: str, code: ExitCode, reason: str
) -> None:
    """Beside a passed test of a deciding requirement of any feature and level, one that failed, is
    open, was not tested or broke is named and decides.
    """
    kinds = {(e.feature, e.level): id for id, e in SPEC.requirements.items() if e.decides}
    for id in kinds.values():
        assert verdict_of(all_passed(result(id, outcome))) == Verdict(
            word, code, [reason.format(id)]
        )


def test_of_many_requirements_some_are_named() -> None:
    """A reason names four requirements and says how many more there are."""
    ids = [id for id, entry in SPEC.requirements.items() if entry.decides][:6]

    six, four = (
        verdict_of(all_passed(*(result(id, FAILED) for id in some))) for some in (ids, ids[:4])
    )

    assert six.reasons == [f"6 requirements failed: {', '.join(ids[:4])} and 2 more"]
    assert four.reasons == [f"4 requirements failed: {', '.join(ids[:4])}"]


def test_all_that_is_wrong_is_said_worst_first() -> None:
    """A verdict says why the run ended early, what failed, broke and stayed open, and what was left
    behind; the harness decides the code.
    """
    told = [
        result("SEC-J03", FAILED),
        result("SEC-J04", ERROR),
        result("SEC-J05", INCONCLUSIVE),
        result("AUTH-required", NOT_TESTED),
    ]

    said = verdict_of(all_passed(*told), left=("contact 1", "contact 2"), aborted="interrupted")

    assert (said.status, said.exit_code) == ("not-conformant", ExitCode.HARNESS_ERROR)
    assert said.reasons == [
        "interrupted",
        "1 requirement failed: SEC-J03",
        "the harness broke at SEC-J04",
        "1 requirement could not be decided: SEC-J05",
        "1 requirement not proven, because not tested: AUTH-required",
        "2 things created by this run could not be deleted",
    ]


@pytest.mark.parametrize("outcome", [FAILED, INCONCLUSIVE, NOT_TESTED, ERROR])
def test_advice_decides_nothing(outcome: Outcome) -> None:
    """What is only advice keeps no server from being conformant."""
    assert verdict_of(all_passed(result("SEC-H03", outcome))).status == "conformant"


def test_a_deciding_requirement_may_be_none_of_this_targets() -> None:
    """A requirement whose tests all say why they are not applicable keeps no server from being
    conformant.
    """
    results = [
        r if r.requirement != "SEC-J08" else result("SEC-J08", NOT_APPLICABLE) for r in all_passed()
    ]

    assert verdict_of(results).status == "conformant"
    assert requirement_outcomes(SPEC, results)["SEC-J08"][0] is NOT_APPLICABLE


def test_what_is_not_covered_is_said() -> None:
    """A run without the signing key and without a second user is conformant, and says what it
    therefore did not look at.
    """
    lacking = [
        result("SEC-T03-beyond-leeway", NOT_TESTED, lacks=SIGNING_KEY, reason="no signing key"),
        result("ISSUE-identity", NOT_TESTED, lacks=SECOND_USER, reason="one user per role"),
    ]
    results = [r for r in all_passed() if r.requirement != "SEC-T03-beyond-leeway"] + lacking

    said = verdict_of(results)

    assert (said.status, said.exit_code) == ("conformant", ExitCode.CONFORMANT)
    assert said.reasons == [
        "not covered: SEC-T03-beyond-leeway: no signing key",
        "not covered: ISSUE-identity: one user per role",
    ]


def test_missing_keys_are_one_sentence() -> None:
    """Cells of API keys that were not tested for want of keys are said once, and excused; for want
    of leave to write they are not.
    """

    def keyless(lacks: str) -> list[Tested]:
        cells = [
            result(f"PERM-{op}", NOT_TESTED, lacks=lacks, reason="no keys")
            for op in ("list-users", "list-forms")
        ]
        for cell in cells:
            cell.cell = Cell(
                cell.requirement.removeprefix("PERM-"), "guest", API_KEY, allowed=False
            )
        return all_passed(*cells)

    assert verdict_of(keyless(API_KEYS)) == Verdict(
        "conformant", ExitCode.CONFORMANT, ["API keys were not tested: no keys"]
    )
    assert verdict_of(keyless("")).status == "inconclusive"


def test_the_first_reason_for_missing_keys_is_said_beside_what_else_is_not_covered() -> None:
    """Of several reasons why there are no keys the first is said, once; what lacks another
    capability is still named, and so is what lacks keys where no cell does.
    """
    cells = [
        result("PERM-list-users", NOT_TESTED, lacks=API_KEYS, reason=reason)
        for reason in ("no endpoint", "no scope")
    ]
    for cell in cells:
        cell.cell = Cell("list-users", "guest", API_KEY, allowed=False)
    union = result("KEY-union", NOT_TESTED, lacks=API_KEYS, reason="no endpoint")
    identity = result("ISSUE-identity", NOT_TESTED, lacks=SECOND_USER, reason="one user per role")

    assert verdict_of(all_passed(*cells, union, identity)).reasons == [
        "API keys were not tested: no endpoint",
        "not covered: ISSUE-identity: one user per role",
    ]
    assert verdict_of(all_passed(union)).reasons == ["not covered: KEY-union: no endpoint"]


def test_callers_that_are_mixed_up() -> None:
    """Where cells are let in that may not, and others refused that may, the reader is told to try
    one request at a time; not where all failures are of one kind.
    """

    def failed(operation: str, status: int, *, allowed: bool) -> Tested:
        test = result(f"PERM-{operation}", FAILED)
        test.cell = Cell(operation, "bot", TOKEN, allowed)
        test.shown_by = exchange(status=status)
        return test

    lists = [operation for operation in SPEC.operations if operation.startswith("list-")]
    let_in = [failed(name, 200, allowed=False) for name in lists[:3]]
    refused = [failed(name, 400, allowed=True) for name in lists[3:7]]
    crashed = [failed(name, 500, allowed=True) for name in lists[3:7]]
    other_success = [failed(name, 202, allowed=True) for name in lists[:3]]

    (told,) = (
        line
        for line in verdict_of(all_passed(*let_in, *refused)).reasons
        if "--concurrency" in line
    )
    assert told == (
        "3 cells were let in that may not, and 4 refused that may: where --concurrency 1 finds "
        "neither, requests at the same time get each other's rights"
    )
    for others in ([*let_in, *crashed], let_in, refused, [*other_success, *refused]):
        reasons = verdict_of(all_passed(*others)).reasons
        assert not any("--concurrency" in line for line in reasons)


def test_expiry_is_never_excused() -> None:
    """Where no test of expiry was tested the verdict is inconclusive, and expiry is named with the
    reason.
    """
    expiry = {id for id, entry in SPEC.requirements.items() if entry.feature == "Expiry"}
    results = [
        result(id, NOT_TESTED, reason="no way to one") if id in expiry else result(id)
        for id in SPEC.requirements
    ]

    said = verdict_of(results)

    assert (said.status, said.exit_code) == ("inconclusive", ExitCode.INCONCLUSIVE)
    assert said.reasons[-1] == "expiry was not proven: no way to one"


def test_a_part_is_never_conformant() -> None:
    """Where tests were deselected the verdict is part-passed, even if every requirement still has
    one that passed.
    """
    said = verdict_of(all_passed(), selected=True)

    assert (said.status, said.exit_code) == ("part-passed", ExitCode.CONFORMANT)
    assert said.reasons == [
        "only a part of the suite was selected; 0 requirements were not looked at"
    ]


def test_a_run_that_ended_early_is_never_conformant() -> None:
    """A run that was broken off is inconclusive, and says why first."""
    said = verdict_of(all_passed(), aborted="interrupted")

    assert (said.status, said.reasons) == ("inconclusive", ["interrupted"])


def test_a_run_that_ended_before_any_test() -> None:
    """Without a single result everything is unproven, and no sentence is said of what was never
    looked at.
    """
    said = verdict_of([], aborted="interrupted")

    assert (said.status, said.exit_code) == ("inconclusive", ExitCode.INCONCLUSIVE)
    first, second = said.reasons
    assert first == "interrupted"
    assert "requirements not proven, because not tested: " in second


@pytest.mark.parametrize(
    ("more", "code"), [((), ExitCode.LEFT_BEHIND), ((result("SEC-J03", FAILED),), ExitCode.FAILED)]
)
def test_what_is_left_behind_is_no_finding(more: tuple[Tested, ...], code: ExitCode) -> None:
    """Undeleted things make exit code 7, unless a requirement failed."""
    said = verdict_of(all_passed(*more), left=("contact 1",))

    assert said.exit_code is code
    assert said.reasons[-1] == "1 thing created by this run could not be deleted"


# --- A selected part ---------------------------------------------------------------------------

#: Results of a selected part, and whether that part is as it should be.
PARTS: dict[str, tuple[list[Tested], bool]] = {
    "one-passed": ([result("AUTH-required")], True),
    "passed-and-not-applicable": (
        [result("AUTH-required"), result("SEC-J08", NOT_APPLICABLE)],
        True,
    ),
    "passed-and-excused": (
        [result("AUTH-required"), result("KEY-union", NOT_TESTED, lacks=API_KEYS)],
        True,
    ),
    "passed-and-not-tested": (
        [result("AUTH-required"), result("AUTH-required", NOT_TESTED)],
        False,
    ),
    "passed-and-another-not-tested": (
        [result("AUTH-required"), result("SEC-J03", NOT_TESTED)],
        False,
    ),
    "advice-open": ([result("AUTH-required"), result("SEC-J11", INCONCLUSIVE)], True),
    "nothing-passed": ([result("EXPIRY-403", NOT_TESTED)], False),
    "nothing-but-excused": ([result("KEY-union", NOT_TESTED, lacks=API_KEYS)], False),
    "advice-not-tested": ([result("AUTH-required"), result("SEC-J11", NOT_TESTED)], True),
    "advice-not-followed": ([result("AUTH-required"), result("SEC-J11", FAILED)], True),
    "broken-at-advice": ([result("AUTH-required"), result("SEC-J11", ERROR)], False),
    "nothing-but-advice-not-followed": ([result("SEC-J11", FAILED)], False),
    "open": ([result("AUTH-required"), result("SEC-J03", INCONCLUSIVE)], False),
    "failed": ([result("AUTH-required"), result("SEC-J03", FAILED)], False),
    "broken": ([result("AUTH-required"), result("SEC-J03", ERROR)], False),
    "nothing": ([], False),
}


@pytest.mark.parametrize("case", PARTS)
def test_a_part_is_good_if_it_proved_what_it_is_for(case: str) -> None:
    """Exit code 0 of a selected part needs something that passed, and nothing that was left open
    without an excuse.
    """
    results, good = PARTS[case]

    assert is_good_part(SPEC, results) is good
    assert (verdict_of(results, selected=True).status == "part-passed") is good
    assert verdict_of(results, selected=True, aborted="interrupted").status != "part-passed"


def test_a_good_part_that_left_something_behind() -> None:
    """What a part could not delete still makes exit code 7."""
    said = verdict_of([result("AUTH-required")], selected=True, left=("contact 1",))

    assert (said.status, said.exit_code) == ("part-passed", ExitCode.LEFT_BEHIND)


# --- The order of findings ---------------------------------------------------------------------


def test_causes_come_first() -> None:
    """A requirement stands behind all that it depends on; beyond that the order is the table's."""
    order = order_of(SPEC.requirements)

    assert sorted(order) == sorted(SPEC.requirements)
    for id, entry in SPEC.requirements.items():
        assert all(order.index(cause) < order.index(id) for cause in entry.depends)

    alone = [id for id, entry in SPEC.requirements.items() if not entry.depends]
    assert alone != sorted(alone)
    assert order_of({id: SPEC.requirements[id] for id in alone}) == alone


def test_findings_are_in_the_order_of_their_causes() -> None:
    """Findings are the failed tests of deciding requirements, causes first."""
    failed = [
        result(id, FAILED)
        for id in ("PERM-list-users", "SEC-J04", "SCOPE-cascade", "SEC-H03", "SEC-J03")
    ]

    found = [finding.requirement for finding in findings(SPEC, [*failed, result("ISSUE-jwt")])]

    assert found == sorted(found, key=order_of(SPEC.requirements).index)
    assert found.index("SCOPE-cascade") < found.index("PERM-list-users")
    assert found.index("SEC-J03") < found.index("SEC-J04")
    assert "SEC-H03" not in found


def test_cells_of_a_kind_are_told_apart() -> None:
    """A cell's name has operation, role and credential in it, so that no two are one."""
    assert len({str(cell) for cell in SPEC.cells}) == len(SPEC.cells)
    assert {cell.credential for cell in SPEC.cells} == {TOKEN, API_KEY}


def test_with_a_bank_alone_the_last_minute_is_not_covered() -> None:
    """What takes a clock or a key leaves expiry proven by the other ways, and the verdict says that
    it was not looked at.
    """
    results = [result(id) for id in SPEC.requirements if id != "EXPIRY-not-before"]
    results += [
        result(
            "EXPIRY-not-before", NOT_TESTED, lacks=LAST_MINUTE, reason="no token in its last minute"
        )
    ]

    said = verdict_of(results)

    assert said.status == "conformant"
    assert said.reasons == ["not covered: EXPIRY-not-before: no token in its last minute"]


def test_expiry_that_was_not_proven_at_all_is_said_once() -> None:
    """Without any way to an expired token the verdict is open, and the last minute is not named
    beside it.
    """
    expiry = [id for id, entry in SPEC.requirements.items() if entry.feature == "Expiry"]
    results = [result(id) for id in SPEC.requirements if id not in expiry]
    results += [
        result(id, NOT_TESTED, lacks=SPEC.requirements[id].capability, reason="no way to one")
        for id in expiry
    ]

    said = verdict_of(results)

    assert said.status == "inconclusive"
    assert sum("no way to one" in reason for reason in said.reasons) == 1


def test_advice_is_in_the_order_of_the_table() -> None:
    """Failed tests of what decides nothing are advice and no findings, in the table's order; what
    passed is neither.
    """
    hardening = [id for id, entry in SPEC.requirements.items() if not entry.decides]
    results = [result(id, FAILED) for id in reversed(hardening)] + [
        result("SEC-J03", FAILED),
        result(hardening[0]),
    ]

    assert [told.requirement for told in advice(SPEC, results)] == hardening
    assert [told.requirement for told in findings(SPEC, results)] == ["SEC-J03"]


def test_a_cell_comes_before_the_rest_of_its_requirement() -> None:
    """Of one requirement's findings the cells of the permission table stand first."""
    cell, other = result("PERM-list-users", FAILED), result("PERM-list-users", FAILED)
    cell.cell = SPEC.cells[0]

    assert findings(SPEC, [other, cell]) == [cell, other]


def test_outcomes_are_counted() -> None:
    """Each outcome has its number, also when there is none of it."""
    assert counts([PASSED, FAILED, PASSED]) == {
        outcome.value: {PASSED: 2, FAILED: 1}.get(outcome, 0) for outcome in Outcome
    }
