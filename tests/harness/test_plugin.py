"""The suite as a pytest suite: selecting, refusing, stopping, interrupting, and its reports.

Longer than 400 lines because its tests share the ways to start pytest.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from rolecall.schema_validation import validation_errors
from tests.conftest import Reference
from tests.support.command import FILES, Finished, finish, start, start_module
from tests.support.miniatures import Miniature, always, response
from tests.support.servers import ROOT, Admin, certify, clock_offset, serving, target, without


def begin(
    *words: str | Path,
    out: Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    **options: Any,
) -> subprocess.Popen[str]:
    """``pytest`` on the suite as its users start it, running."""
    return start_module("pytest", *words, "--out", out, cwd=cwd, env=env, **options)


def suite(
    *words: str | Path, out: Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> Finished:
    """``pytest`` on the suite, from the checkout, to its end."""
    began = time.monotonic()
    return finish(begin(*words, out=out, cwd=cwd, env=env), out, began)


def outcomes_of(results: dict[str, Any]) -> dict[str, str]:
    """The tests of a run by name, with their outcomes."""
    return {
        test["name"]: test["outcome"]
        for entry in results["requirements"]
        for test in entry["tests"]
    }


def assert_whole(finished: Finished) -> None:
    """Every file of the run is there, and results.json is valid and has the exit code."""
    assert {path.name for path in finished.folder.iterdir()} >= FILES
    assert validation_errors("results", finished.results) == []
    assert finished.results["exit_code"] == finished.code
    json.loads((finished.folder / "evidence.har").read_text(encoding="utf-8"))


# --- Choosing ----------------------------------------------------------------------------------


def test_pytest_selects_cells(reference: Reference, tmp_path: Path) -> None:
    """``pytest conformance --target T -k "list-users and guest"`` runs those two cells, and says
    what part that was.
    """
    file = reference.target_file(tmp_path)

    finished = suite(
        "conformance",
        "--target",
        file,
        "-k",
        "list-users and guest",
        out=tmp_path / "runs",
        env=reference.env,
    )

    assert finished.code == 0, finished.said
    assert "2 passed" in finished.stdout
    outcomes = {
        f"{c['operation']}-{c['role']}-{c['credential']}": c["outcome"]
        for c in finished.results["cells"]
    }
    assert [cell for cell, outcome in outcomes.items() if outcome != "not-tested"] == [
        "list-users-guest-token",
        "list-users-guest-api-key",
    ]
    assert set(outcomes_of(finished.results).values()) == {"passed"}
    assert finished.results["selected"] is True
    assert finished.results["verdict"] == "part-passed"
    assert "only a part of the suite was selected" in finished.stdout
    assert validation_errors("results", finished.results) == []


def test_a_test_is_called_by_the_id_that_a_person_types(
    reference: Reference, tmp_path: Path
) -> None:
    """A node id made of file, test and cell runs that one test."""
    file = reference.target_file(tmp_path)
    test = "test_an_allowed_read_shows_the_thing[fetch-form-admin-token]"
    id = f"conformance/test_permissions.py::{test}"

    finished = suite(id, "--target", file, "-v", out=tmp_path / "runs", env=reference.env)

    assert finished.code == 0, finished.said
    assert list(outcomes_of(finished.results)) == [
        "test_an_allowed_read_shows_the_thing[fetch-form-admin-token]"
    ]
    assert "[fetch-form-admin-token] PASSED" in finished.stdout


def test_a_requirement_selects_its_tests(reference: Reference, tmp_path: Path) -> None:
    """``-k`` finds tests by the id of their requirement, also when no test is named like it."""
    file = reference.target_file(tmp_path)

    finished = suite(
        "conformance",
        "--target",
        file,
        "-k",
        "REFRESH-client",
        out=tmp_path / "runs",
        env=reference.env,
    )

    assert finished.code == 0, finished.said
    tested = {entry["id"] for entry in finished.results["requirements"] if entry["tests"]}
    assert tested == {"REFRESH-client"}


def test_collecting_sends_nothing(tmp_path: Path) -> None:
    """``--collect-only`` names the tests, asks the target nothing and leaves no folder."""
    with Miniature(always(response(500))) as miniature:
        text = f'[target]\nbase_url = "{miniature.url}"\n'
        file = target(
            tmp_path, text + "".join(account(role) for role in ("guest", "agent", "bot", "admin"))
        )

        finished = suite(
            "conformance", "--target", file, "--collect-only", "-q", out=tmp_path / "runs"
        )

        assert finished.code == 0, finished.said
        assert (
            "test_permissions.py::test_a_refused_write_does_nothing[delete-user-guest-token]"
            in finished.stdout
        )
        assert miniature.received == []
        assert not finished.out.exists()


def account(role: str) -> str:
    """The table of an account."""
    return f'[accounts.{role}]\nemail = "{role}@example.org"\npassword = "password-of-{role}"\n'


def test_collecting_starts_no_server(tmp_path: Path) -> None:
    """``--collect-only`` without a target does not start the embedded server."""
    unusable = "--serve-option=--fault=there-is-none"

    collected = suite("conformance", unusable, "--collect-only", "-q", out=tmp_path / "runs")
    run = suite("conformance", unusable, "-k", "ISSUE-status", out=tmp_path / "runs")

    assert collected.code == 0, collected.said
    assert run.code != 0, "the embedded server started after all, so the first half proves nothing"
    assert "the embedded server does not take it" in run.said
    assert "Traceback" not in run.said


# --- Stopping at the first failure -------------------------------------------------------------


@pytest.fixture(scope="module")
def wrong_cells() -> Iterator[Reference]:
    """A server whose bots may not list contacts and whose guests may create them."""
    switches = ("--fault", "flip-list-contacts-bot", "--fault", "flip-create-contact-guest")
    with serving(*switches) as running:
        yield running


@pytest.mark.long
def test_x_stops_at_the_first_failure(wrong_cells: Reference, tmp_path: Path) -> None:
    """With ``-x`` the first failure ends the run, which tidies up and writes valid files."""
    words = (
        "conformance",
        "--target",
        wrong_cells.target_file(tmp_path),
        "-k",
        "contact and token",
        "-q",
    )

    whole = suite(*words, out=tmp_path / "whole")
    stopped = suite(*words, "-x", out=tmp_path / "stopped")

    assert (whole.code, stopped.code) == (1, 1), whole.said + stopped.said
    assert "stopping after 1 failures" in stopped.stdout
    cells = [finding["cell"] for finding in whole.results["findings"]]
    assert cells == ["list-contacts-bot-token", "create-contact-guest-token"]
    assert [finding["cell"] for finding in stopped.results["findings"]] == cells[:1]
    assert list(outcomes_of(stopped.results).values()).count("failed") == 1
    assert stopped.results["reasons"][0] == "stopping after 1 failures"
    assert len(outcomes_of(stopped.results)) < len(outcomes_of(whole.results))
    for finished in (whole, stopped):
        assert_whole(finished)
        assert finished.results["left_behind"] == []
    assert Admin(wrong_cells).left_by() == []


def test_a_failure_reads_as_pytests(wrong_cells: Reference, tmp_path: Path) -> None:
    """A failed cell is shown by pytest with the test's line, the expectation and the answer."""
    words = ("-k", "list-contacts-bot-token", "--tb=short")

    finished = suite(
        "conformance", "--target", wrong_cells.target_file(tmp_path), *words, out=tmp_path / "runs"
    )

    assert finished.code == 1, finished.said
    assert "await judge.expect_allowed(answer, request, caller)" in finished.stdout
    assert "expected: 200: bot may list contacts" in finished.stdout
    assert "actual:   403: it was refused" in finished.stdout
    assert "GET /v2/contacts as bot (token) -> 403" in finished.stdout
    assert "pytest_pyfunc_call" not in finished.stdout, "the runner shows up in the traceback"
    assert "1 failed" in finished.stdout


# --- Tests of one's own ------------------------------------------------------------------------

OWN = """
from rolecall.toolkit.marks import requirement, each
from rolecall.evidence import cite
from rolecall.outcomes import Finding, Inconclusive, NotApplicable, NotTested


async def look(world):
    caller = await world.user("guest")
    return await world.send("GET", f"/v2/users/{caller.user}", caller)


@requirement("ISSUE-status")
async def test_passes(world):
    assert (await look(world)).status == 200


@requirement("ISSUE-fields")
async def test_compares(world):
    answer = await look(world)
    assert answer.status == 418


@requirement("ISSUE-jwt")
async def test_breaks(world):
    await look(world)
    return 1 / 0


@requirement("ISSUE-user")
async def test_looks_at_nothing(world):
    assert world.roles


@requirement("ISSUE-scope")
async def test_lacks_a_piece(world):
    await look(world)
    raise Inconclusive("a piece of evidence", "the moon")


@requirement("ISSUE-lifetime")
async def test_cannot(world):
    raise NotTested("nobody gave the means")


@requirement("ISSUE-identity")
async def test_is_nothing_here(world):
    await look(world)
    raise NotApplicable("of such a target nothing can be said")


@requirement("ISSUE-refused")
async def test_says_so_without_looking(world):
    raise NotApplicable("of such a target nothing can be said")
"""


@pytest.fixture(scope="module")
def own(reference: Reference, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Finished]:
    """Runs tests of one's own by name with the plugin."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "test_own.py").write_text(OWN, encoding="utf-8")
    file = reference.target_file(folder)

    def run(
        *names: str, words: tuple[str, ...] = (), env: Mapping[str, str] | None = None
    ) -> Finished:
        given: tuple[str | Path, ...] = (
            "-p",
            "rolecall.harness.plugin",
            *words,
            "test_own.py",
            "--target",
            file,
            "-k",
            " or ".join(names),
        )
        out = folder / "-".join((*names, *words))
        return suite(
            *given,
            "-p",
            "no:cacheprovider",
            out=out,
            cwd=folder,
            env={**reference.env, **(env or {})},
        )

    return run


def test_assertions_are_explained(own: Callable[..., Finished]) -> None:
    """A plain assert is explained by pytest as usual, and is a finding."""
    finished = own("test_passes", "test_compares")

    assert finished.code == 1, finished.said
    assert "assert 200 == 418" in finished.stdout
    assert ".status" in finished.stdout.partition("where 200 = ")[2]
    assert outcomes_of(finished.results) == {"test_passes": "passed", "test_compares": "failed"}
    (finding,) = finished.results["findings"]
    assert finding["requirement"] == "ISSUE-fields"
    assert "assert 200 == 418" in finding["actual"]


def test_a_broken_test_is_an_error_of_the_harness(own: Callable[..., Finished]) -> None:
    """An exception in a test is an error of the harness: exit code 6, and no finding."""
    finished = own("test_passes", "test_breaks")

    assert finished.code == 6, finished.said
    assert finished.results["findings"] == []
    (entry,) = (entry for entry in finished.results["requirements"] if entry["id"] == "ISSUE-jwt")
    assert entry["outcome"] == "error"
    assert re.fullmatch(
        r"ZeroDivisionError: division by zero \([\w.-]+/test_own\.py, line \d+\)", entry["reason"]
    )
    traceback = (finished.folder / "harness-errors.txt").read_text(encoding="utf-8")
    assert "return 1 / 0" in traceback
    assert finished.results["verdict"] == "inconclusive"
    assert "ISSUE-jwt" in " ".join(finished.results["reasons"])
    assert_whole(finished)


def test_a_test_that_looked_at_nothing_is_an_error(own: Callable[..., Finished]) -> None:
    """A test that passes without an exchange is an error of the harness: exit code 6."""
    finished = own("test_passes", "test_looks_at_nothing")

    assert finished.code == 6, finished.said
    assert outcomes_of(finished.results) == {
        "test_passes": "passed",
        "test_looks_at_nothing": "error",
    }
    assert "without looking at any exchange" in finished.said


def test_neither_a_missing_piece_nor_a_missing_means_is_a_failure(
    own: Callable[..., Finished],
) -> None:
    """Inconclusive and not tested are outcomes of their own, and neither is a finding."""
    finished = own("test_passes", "test_lacks_a_piece", "test_cannot")

    assert finished.code == 3, finished.said
    tests = {
        test["name"]: test for entry in finished.results["requirements"] for test in entry["tests"]
    }
    assert tests["test_lacks_a_piece"]["outcome"] == "inconclusive"
    assert tests["test_lacks_a_piece"]["reason"] == "missing: a piece of evidence"
    assert tests["test_lacks_a_piece"]["look_at"] == "the moon"
    assert tests["test_cannot"]["outcome"] == "not-tested"
    assert tests["test_cannot"]["reason"] == "nobody gave the means"
    assert finished.results["findings"] == []
    assert "1 passed" in finished.stdout
    assert "1 skipped" in finished.stdout
    assert "1 inconclusive" in finished.stdout
    assert_whole(finished)


def test_what_is_not_applicable_is_an_outcome_of_its_own(own: Callable[..., Finished]) -> None:
    """A test that is not applicable has its reason, and does not change exit code 0."""
    finished = own("test_passes", "test_is_nothing_here")

    assert finished.code == 0, finished.said
    assert outcomes_of(finished.results) == {
        "test_passes": "passed",
        "test_is_nothing_here": "not-applicable",
    }
    (entry,) = (
        entry for entry in finished.results["requirements"] if entry["id"] == "ISSUE-identity"
    )
    assert (entry["outcome"], entry["reason"]) == (
        "not-applicable",
        "not applicable: of such a target nothing can be said",
    )
    assert "1 passed" in finished.stdout
    assert "1 not applicable" in finished.stdout
    assert validation_errors("results", finished.results) == []


@pytest.mark.parametrize(
    ("words", "element"), [((), "skipped"), (("--junit-inconclusive", "error"), "error")]
)
def test_an_inconclusive_test_in_junit(
    words: tuple[str, ...], element: str, own: Callable[..., Finished]
) -> None:
    """junit.xml skips a test that proved nothing, with its reason, or makes it an error where that
    is asked for.
    """
    finished = own("test_passes", "test_lacks_a_piece", words=words)

    root = ElementTree.parse(finished.folder / "junit.xml").getroot()
    found = [(child.tag, child.get("type")) for case in root.iter("testcase") for child in case]
    assert found == [(element, "inconclusive")], finished.said


def test_what_was_not_tested_leaves_a_part_open(own: Callable[..., Finished]) -> None:
    """A selected part with a test that was not tested does not end with exit code 0."""
    finished = own("test_passes", "test_cannot")

    assert finished.code == 3, finished.said
    assert outcomes_of(finished.results) == {"test_passes": "passed", "test_cannot": "not-tested"}


def test_not_applicable_needs_evidence(own: Callable[..., Finished]) -> None:
    """A test that is not applicable without an exchange is an error of the harness."""
    finished = own("test_passes", "test_says_so_without_looking")

    assert finished.code == 6, finished.said
    assert outcomes_of(finished.results) == {
        "test_passes": "passed",
        "test_says_so_without_looking": "error",
    }
    assert "said that it is not applicable without looking at any exchange" in finished.said


def test_a_bug_of_the_harness_is_told_in_one_sentence(
    own: Callable[..., Finished], tmp_path: Path
) -> None:
    """A bug outside a test ends with exit code 6, its type, file and line, and a traceback."""
    (tmp_path / "breaks.py").write_text(
        "class Broken(Exception):\n    pass\n\ndef pytest_runtest_logreport(report):\n    raise "
        "Broken('rolecall')\n",
        encoding="utf-8",
    )

    finished = own("test_passes", words=("-p", "breaks"), env={"PYTHONPATH": str(tmp_path)})

    assert finished.code == 6, finished.said
    assert finished.results["reasons"][0] == (
        f"the harness broke: Broken in {tmp_path.name}/breaks.py, line 5; harness-errors.txt in "
        "the run's folder has the traceback"
    )
    assert finished.results["verdict"] == "inconclusive"
    assert "raise Broken('rolecall')" in (finished.folder / "harness-errors.txt").read_text(
        encoding="utf-8"
    )
    assert_whole(finished)


#: Tests that pytest would run in another way than this suite does, and what is said of them.
REFUSED = {
    "no-async": ("def test_one(world):\n    pass\n", "must be an `async def`"),
    "pytests-fixture": (
        "async def test_one(world, tmp_path):\n    pass\n",
        "asks for tmp_path; a test can ask for world, judge,",
    ),
    "own-fixture": (
        "async def test_one(world, mine):\n    pass\n\n@pytest.fixture\ndef mine():\n    pass\n",
        "asks for mine; a test can ask for world, judge,",
    ),
    "replaced-fixture": (
        "async def test_one(world):\n    pass\n\n@pytest.fixture\ndef world():\n    pass\n",
        "asks for world; a test can ask for world, judge,",
    ),
    "automatic-fixture": (
        (
            "async def test_one(world):\n    pass\n\n"
            "@pytest.fixture(autouse=True)\ndef mine():\n    pass\n"
        ),
        "asks for mine; a test can ask for world, judge,",
    ),
    "indirect-parameter": (
        (
            "@pytest.mark.parametrize('world', [1], indirect=True)\n"
            "async def test_one(world):\n    pass\n\n@pytest.fixture\ndef world():\n    pass\n"
        ),
        "asks for world; a test can ask for world, judge,",
    ),
    "set-up": (
        "async def test_one(world):\n    pass\n\ndef setup_module():\n    pass\n",
        "asks for setup_module; a test can ask for world, judge,",
    ),
    "skip": (
        "@pytest.mark.skip\nasync def test_one(world):\n    pass\n",
        "is marked skip, which has no effect here: raise NotTested or NotApplicable",
    ),
    "skipif": (
        "@pytest.mark.skipif(True, reason='so')\nasync def test_one(world):\n    pass\n",
        "is marked skipif, which has no effect here",
    ),
    "xfail": (
        "@pytest.mark.xfail(strict=True)\nasync def test_one(world):\n    pass\n",
        "is marked xfail, which has no effect here",
    ),
}


#: Those that are refused for the same reason as one before them.
ALIKE = {"pytests-fixture", "skipif", "xfail"}


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.long] * (case in ALIKE)) for case in REFUSED]
)
def test_a_test_that_would_not_run_as_written_is_refused(case: str, tmp_path: Path) -> None:
    """A test that cannot run as it is written is refused in one sentence, before a request."""
    text, says = REFUSED[case]
    head = (
        "import pytest\nfrom rolecall.toolkit.marks import "
        "requirement\n\n@requirement('AUTH-required')\n"
    )
    (tmp_path / "test_one.py").write_text(head + text, encoding="utf-8")
    words = ("-p", "rolecall.harness.plugin", "test_one.py", "-p", "no:cacheprovider")

    finished = suite(*words, out=tmp_path / "runs", cwd=tmp_path)

    assert finished.code == pytest.ExitCode.USAGE_ERROR, finished.said
    errors = [line for line in finished.said.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == 1, finished.said
    assert re.match(r"ERROR: test_one\.py::test_one(\[.*\])? ", errors[0])
    assert says in errors[0]
    assert "Traceback" not in finished.said
    assert not finished.out.exists()


#: A plugin that does with a test's reports what pytest-rerunfailures does with them.
LISTENER = """
import pytest

seen = {}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "setup":
        seen[item.nodeid] = []
    seen[item.nodeid].append(report.when)
    return report


def pytest_unconfigure():
    print("phases:", seen)
"""


def test_a_plugin_hears_of_set_up_call_and_tear_down(
    own: Callable[..., Finished], tmp_path: Path
) -> None:
    """A plugin that listens to reports gets the three of each test that pytest promises."""
    (tmp_path / "listener.py").write_text(LISTENER, encoding="utf-8")

    finished = own("test_passes", words=("-p", "listener"), env={"PYTHONPATH": str(tmp_path)})

    assert finished.code == 0, finished.said
    assert "phases: {'test_own.py::test_passes': ['setup', 'call', 'teardown']}" in finished.stdout
    assert outcomes_of(finished.results) == {"test_passes": "passed"}


#: A plugin that hears of reports alone, as pytest-nunit does.
READER = """
seen = {}


def pytest_runtest_logreport(report):
    seen.setdefault(report.nodeid, []).append(report.when)


def pytest_unconfigure():
    print("phases:", seen)
"""


def test_a_plugin_that_reads_reports_alone_gets_all_three(
    own: Callable[..., Finished], tmp_path: Path
) -> None:
    """A plugin that only reads reports gets the three of each test that pytest promises."""
    (tmp_path / "reader.py").write_text(READER, encoding="utf-8")

    finished = own("test_passes", words=("-p", "reader"), env={"PYTHONPATH": str(tmp_path)})

    assert finished.code == 0, finished.said
    assert "phases: {'test_own.py::test_passes': ['setup', 'call', 'teardown']}" in finished.stdout


#: A plugin that breaks a test off while it is waited for, as pytest-timeout does.
TIMEOUT = """
import signal

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("Timeout (>0.01s) from a plugin."))
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
"""


def test_a_test_that_a_plugin_breaks_off_is_not_held_against_the_target(
    slow: Reference, tmp_path: Path
) -> None:
    """What a plugin's time limit breaks off is undecided, and names the limit."""
    (tmp_path / "limit.py").write_text(TIMEOUT, encoding="utf-8")

    finished = suite(
        "conformance",
        *("--target", slow.target_file(tmp_path), "-p", "limit", "-k", "ISSUE"),
        out=tmp_path / "runs",
        env={**slow.env, "PYTHONPATH": str(tmp_path)},
    )

    assert finished.code == 3, finished.said
    assert finished.results["findings"] == []
    assert "which a plugin of pytest broke off: Timeout (>0.01s)" in str(finished.results)


#: A plugin that runs each test in a process of its own.
FORKING = """
import os

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    if not os.fork():
        try:
            item.ihook.pytest_pyfunc_call(pyfuncitem=item)
        finally:
            os._exit(0)
    os.wait()
    return True
"""


def test_a_plugin_that_forks_does_not_hang(own: Callable[..., Finished], tmp_path: Path) -> None:
    """Where a plugin runs the tests in other processes, the run ends, and proves nothing."""
    (tmp_path / "forking.py").write_text(FORKING, encoding="utf-8")

    finished = own("test_passes", words=("-p", "forking"), env={"PYTHONPATH": str(tmp_path)})

    assert finished.code == 3, finished.said
    assert finished.results["verdict"] == "inconclusive"


#: A plugin that warns as it is configured, as some versions of pytest-asyncio do, and later.
WARNING = """
import warnings

import pytest


def pytest_configure():
    warnings.warn("an option is unset", pytest.PytestDeprecationWarning)


def pytest_runtest_setup():
    warnings.warn("this hook is an old one", DeprecationWarning)
"""


def test_a_plugin_that_warns_ends_nothing(tmp_path: Path) -> None:
    """What a plugin of the user's is warned of is no error of the run."""
    (tmp_path / "old_plugin.py").write_text(WARNING, encoding="utf-8")

    finished = suite(
        "conformance",
        *("-p", "old_plugin", "-k", "ISSUE-status"),
        out=tmp_path / "runs",
        env={"PYTHONPATH": str(tmp_path)},
    )

    assert finished.code == 0, finished.said
    assert finished.results["verdict"] == "part-passed"


#: Stands in for pytest-xdist's options, which it changes before pytest is configured.
DISTRIBUTED = """
import pytest


def pytest_addoption(parser):
    parser.addoption("--dist", default="no")
    parser.addoption("--reruns", type=int)
    parser.addoption("--forked", action="store_true")
"""


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--dist=load", "-n: the suite runs its tests concurrently in one process"),
        ("--reruns=2", "--reruns: every result of the suite is final"),
        ("--forked", "--forked: the suite runs its tests concurrently in one process"),
        ("--lf", "--lf, --sw and --cache-show: the suite keeps no cache of pytest's"),
        pytest.param(
            "--sw",
            "--lf, --sw and --cache-show: the suite keeps no cache of pytest's",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "--cache-show",
            "--lf, --sw and --cache-show: the suite keeps no cache of pytest's",
            marks=pytest.mark.long,
        ),
        ("--setup-plan", "--setup-plan and --setup-only: the suite's tests would be run"),
        pytest.param(
            "--setup-only",
            "--setup-plan and --setup-only: the suite's tests would be run",
            marks=pytest.mark.long,
        ),
    ],
)
def test_options_that_run_tests_elsewhere_are_refused(
    option: str, says: str, tmp_path: Path
) -> None:
    """``-n`` of pytest-xdist, ``--reruns``, what shows fixtures in place of results, and what would
    need a cache are refused in one sentence, before a request.
    """
    (tmp_path / "distributed.py").write_text(DISTRIBUTED, encoding="utf-8")
    words = ("-p", "no:xdist", "-p", "no:rerunfailures", "-p", "distributed", option)

    finished = suite(
        "conformance", *words, out=tmp_path / "runs", env={"PYTHONPATH": str(tmp_path)}
    )

    assert finished.code == pytest.ExitCode.USAGE_ERROR, finished.said
    assert f"ERROR: {says}" in finished.said
    assert "Traceback" not in finished.said
    assert not finished.out.exists()


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("--concurrency=0", "--concurrency: at least one request must be in flight"),
        pytest.param(
            "--concurrency=-1",
            "--concurrency: at least one request must be in flight",
            marks=pytest.mark.long,
        ),
        ("--rate=-1", "--rate: -1 is not a rate"),
        pytest.param("--rate=nan", "--rate: nan is not a rate", marks=pytest.mark.long),
        pytest.param("--rate=inf", "--rate: inf is not a rate", marks=pytest.mark.long),
    ],
)
def test_an_option_out_of_bounds_is_refused(option: str, says: str, tmp_path: Path) -> None:
    """An option out of bounds is a usage error of ``pytest``, in one sentence."""
    finished = suite("conformance", option, "-k", "ISSUE-status", out=tmp_path / "runs")

    assert finished.code == pytest.ExitCode.USAGE_ERROR, finished.said
    assert f"ERROR: {says}" in finished.said
    assert "Traceback" not in finished.said
    assert not finished.out.exists()


def test_a_test_without_a_requirement_is_refused(tmp_path: Path) -> None:
    """A test without a requirement stops the run before anything is sent."""
    (tmp_path / "test_nothing.py").write_text(
        "async def test_nothing(world):\n    pass\n", encoding="utf-8"
    )
    words = ("-p", "rolecall.harness.plugin", "test_nothing.py", "-p", "no:cacheprovider")

    finished = suite(*words, out=tmp_path / "runs", cwd=tmp_path)

    assert finished.code == pytest.ExitCode.USAGE_ERROR
    assert "does not say which requirement it proves" in finished.said
    assert not finished.out.exists()


# --- Ctrl-C ------------------------------------------------------------------------------------


#: Seconds that a run has to end in, on a machine that has other things to do as well: tidying up
#: takes one or two, and a target that hangs is waited for, for twenty and more, unless a second
#: Ctrl-C says not to.
PROMPT, AT_ONCE = 30, 10


def wait_for(what: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def things_made(out: Path) -> int:
    """How many things a run has made up to now, by its ledger."""
    return sum(
        path.read_text(encoding="utf-8").count('"created"') for path in out.glob("*/ledger.jsonl")
    )


@pytest.fixture(scope="module")
def slow() -> Iterator[Reference]:
    """A slow server with a movable clock, so that a run can be interrupted in the middle."""
    with serving("--variant", "latency-50ms", "--clock") as running:
        yield running


@pytest.mark.parametrize(
    "command", ["certify", "pytest", pytest.param("pytest --no-reports", marks=pytest.mark.long)]
)
def test_ctrl_c_ends_a_run_tidily(command: str, slow: Reference, tmp_path: Path) -> None:
    """SIGINT ends a run within seconds with exit 130, tidied up and with its files."""
    file, out = target(tmp_path, without(slow.text, "expiry")), tmp_path / "runs"
    if command == "certify":
        process = start("certify", file, "--out", out, "--select", "PERM", cwd=tmp_path)
    else:
        process = begin(
            "conformance", "--target", file, "-k", "PERM", *command.split()[1:], out=out
        )
    wait_for(lambda: things_made(out) > 10)

    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    finished = finish(process, out, began)

    assert finished.code == 130, finished.said
    assert finished.seconds < PROMPT
    assert "Traceback" not in finished.said
    assert finished.results["reasons"][0] == "interrupted"
    assert finished.results["verdict"] == "inconclusive"
    assert finished.results["findings"] == []
    assert finished.results["left_behind"] == []
    if "--no-reports" not in command:
        assert_whole(finished)
    assert Admin(slow).left_by(finished.results["run"]) == []


@pytest.mark.parametrize("command", [pytest.param("certify", marks=pytest.mark.long), "pytest"])
def test_sigterm_ends_a_run_tidily(command: str, slow: Reference, tmp_path: Path) -> None:
    """SIGTERM does what Ctrl-C does, for pytest, too, and for a command whose SIGINT is ignored, as
    a script's ``&`` does it.
    """
    file, out = target(tmp_path, without(slow.text, "expiry")), tmp_path / "runs"
    if command == "certify":
        ignored: dict[str, Any] = {
            "preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
        }
        process = start("certify", file, "--out", out, "--select", "PERM", cwd=tmp_path, **ignored)
    else:
        process = begin("conformance", "--target", file, "-k", "PERM", out=out)
    wait_for(lambda: things_made(out) > 10)

    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    finished = finish(process, out, began)

    assert finished.code == 130, finished.said
    assert finished.results["reasons"][0] == "interrupted"
    assert finished.results["left_behind"] == []
    assert Admin(slow).left_by(finished.results["run"]) == []


@pytest.mark.parametrize(
    "past",
    [
        pytest.param(0, id="to-the-last-minute", marks=pytest.mark.long),
        pytest.param(86400, id="past-the-end"),
    ],
)
def test_ctrl_c_gives_the_clock_back(past: int, slow: Reference, tmp_path: Path) -> None:
    """A run that is interrupted while the target's clock is moved moves it back."""
    file, out = target(tmp_path, slow.text), tmp_path / "runs"
    process = start("certify", file, "--out", out, "--select", "EXPIRY", cwd=tmp_path)
    wait_for(lambda: clock_offset(slow.url) > past)

    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    finished = finish(process, out, began)

    assert finished.code == 130, finished.said
    assert finished.seconds < PROMPT
    assert clock_offset(slow.url) == 0
    assert finished.results["left_behind"] == []
    assert Admin(slow).left_by(finished.results["run"]) == []


def test_ctrl_c_in_a_terminal_with_the_embedded_server(tmp_path: Path) -> None:
    """A terminal sends Ctrl-C to every process of the command, the embedded server too; the run
    still ends tidily.
    """
    out = tmp_path / "runs"
    process = begin(
        "conformance",
        "--serve-option=--variant=latency-50ms",
        "-k",
        "PERM",
        out=out,
        start_new_session=True,
    )
    wait_for(lambda: things_made(out) > 10)

    began = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    finished = finish(process, out, began)

    assert finished.code == 130, finished.said
    assert finished.seconds < PROMPT
    assert "Traceback" not in finished.said
    assert finished.results["reasons"][0] == "interrupted"
    assert finished.results["left_behind"] == []
    assert_whole(finished)


def test_a_second_ctrl_c_does_not_wait(tmp_path: Path) -> None:
    """A second Ctrl-C ends a hanging run at once, which names what it left behind."""
    with serving("--clock") as hanging:
        file, out = target(tmp_path, without(hanging.text, "expiry")), tmp_path / "runs"
        process = start("certify", file, "--out", out, "--select", "PERM", cwd=tmp_path)
        wait_for(lambda: things_made(out) > 10)
        os.kill(hanging.pid, signal.SIGSTOP)
        try:
            process.send_signal(signal.SIGINT)
            time.sleep(1)
            assert process.poll() is None, "it ended at the first one, so this proves nothing"
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            finished = finish(process, out, began)
        finally:
            os.kill(hanging.pid, signal.SIGCONT)

        assert finished.code == 130, finished.said
        assert finished.seconds < AT_ONCE
        assert "Traceback" not in finished.said
        assert finished.results["reasons"][0] == "interrupted"
        assert_whole(finished)
        there = Admin(hanging).left_by(finished.results["run"])
        assert there
        named = "\n".join(finished.results["left_behind"])
        unnamed = [
            thing
            for thing in there
            if not any(part in named for part in re.findall(r"'([\w-]{20,})'", thing))
        ]
        assert unnamed == []


# --- Two at a time -----------------------------------------------------------------------------


@pytest.mark.long
def test_two_runs_at_once_leave_each_other_alone(slow: Reference, tmp_path: Path) -> None:
    """Two runs at once against one server have no findings and delete only their own."""
    select = "PERM and (user-self or contact) or REFRESH-chain"
    outs = [tmp_path / "one", tmp_path / "two"]
    file = target(tmp_path, without(slow.text, "expiry"))
    began = time.monotonic()
    processes = [
        start("certify", file, "--out", out, "--select", select, cwd=tmp_path) for out in outs
    ]

    both = [finish(process, out, began) for process, out in zip(processes, outs, strict=True)]

    for finished in both:
        assert finished.results["findings"] == []
        outcomes = set(outcomes_of(finished.results).values())
        assert outcomes == {"passed"}, finished.said
        assert finished.results["left_behind"] == []
    first, second = (finished.results for finished in both)
    assert first["run"] != second["run"]
    assert max(first["started"], second["started"]) < min(first["finished"], second["finished"]), (
        "they did not meet"
    )
    admin = Admin(slow)
    assert admin.left_by(first["run"]) == admin.left_by(second["run"]) == []
    accounts = [user for user in admin.list("users") if user["email"].endswith("@example.org")]
    assert [user for user in accounts if "rolecall" in str(user)] == []


# --- Allure ------------------------------------------------------------------------------------


def allure(folder: Path) -> dict[str, dict[str, Any]]:
    """Allure's results by the name of the test."""
    documents = (
        json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*-result.json")
    )
    return {document["name"]: document for document in documents}


def test_allure_tells_the_story(wrong_cells: Reference, tmp_path: Path) -> None:
    """Allure's results have epic, feature, story, severity, the clause and the exchanges; a test
    keeps its history.
    """
    file = wrong_cells.target_file(tmp_path)
    select = (
        "list-contacts or create-contact-guest or SCOPE-cascade or RESPONSE-error or "
        "EXPIRY-not-before"
    )

    runs = [certify(file, select), certify(file, select)]

    first, second = (allure(finished.folder / "allure-results") for finished in runs)
    assert set(first) == set(second) == set(outcomes_of(runs[0].results))
    for name, document in first.items():
        labels = {label["name"]: label["value"] for label in document["labels"]}
        assert labels.keys() >= {"epic", "feature", "story", "severity"}, name
        assert document["historyId"] == second[name]["historyId"]
        assert "\n\nClause: " in document["description"]
    assert len({document["historyId"] for document in first.values()}) == len(first)
    passed = first["test_an_allowed_read_shows_the_thing[list-contacts-agent-token]"]
    failed = first["test_an_allowed_read_shows_the_thing[list-contacts-bot-token]"]
    assert {label["value"] for label in passed["labels"] if label["name"] == "story"} == {
        "PERM-list-contacts"
    }
    assert {label["value"] for label in passed["labels"] if label["name"] == "feature"} == {
        "Permissions"
    }
    assert {label["value"] for label in passed["labels"] if label["name"] == "severity"} == {
        "critical"
    }
    assert passed["description"].startswith("List contacts: only agent, bot and admin may.")
    assert (passed["status"], failed["status"]) == ("passed", "failed")
    assert "it was refused" in failed["statusDetails"]["message"]
    (attachment,) = failed["attachments"]
    shown = (runs[0].folder / "allure-results" / attachment["source"]).read_text(encoding="utf-8")
    assert "GET " in shown
    assert "/v2/contacts" in shown
    assert "403" in shown


@pytest.mark.long
def test_pytests_own_allure_option_works(reference: Reference, tmp_path: Path) -> None:
    """``pytest conformance --alluredir DIR`` writes there, of the same tests as a run's own
    results, with the same histories, and those are not written then.
    """
    file = reference.target_file(tmp_path)
    words = ("--target", file, "-k", "list-users and token", "--alluredir", tmp_path / "allure")

    finished = suite("conformance", *words, out=tmp_path / "runs", env=reference.env)
    certified = certify(file, "list-users and token", env=reference.env)

    assert finished.code == 0, finished.said
    theirs, ours = allure(tmp_path / "allure"), allure(certified.folder / "allure-results")
    assert theirs.keys() == ours.keys()
    same = ("fullName", "testCaseId", "historyId", "titlePath", "parameters")
    for name, written in ours.items():
        assert {member: theirs[name].get(member, []) for member in same} == {
            member: written[member] for member in same
        }
    assert not (finished.folder / "allure-results").exists()
    secrets = [
        line.split('"')[1] for line in reference.text.splitlines() if line.startswith("password = ")
    ]
    everything = "".join(
        path.read_text(encoding="utf-8") for path in (tmp_path / "allure").iterdir()
    )
    assert len(secrets) == 5
    assert [secret for secret in secrets if secret in everything] == []
    assert "eyJ" in everything, "no token is shown at all, so this proves little"
