"""The pytest plugin: options, concurrent tests, outcomes, and the run's files at the end."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import allure
import pytest
from allure_commons.model2 import Parameter

from rolecall.endings import end_as_ctrl_c_does, expect_no_end
from rolecall.error_words import words_behind
from rolecall.errors import ExitCode, RolecallError, UsageError, place_of
from rolecall.harness.collection import (
    RUN,
    arguments_of,
    check_test,
    collected,
    fixtures,
    phase_of,
    requirement_of,
)
from rolecall.harness.failure_text import FailureTexts
from rolecall.harness.options import OPTIONS, PYTEST_OPTIONS, Options
from rolecall.harness.results import TestResult, Verdict
from rolecall.harness.run import Run
from rolecall.harness.scheduler import ScheduledTest
from rolecall.harness.waiving import waive
from rolecall.memory import Memory
from rolecall.outcomes import Finding, Flaky, Inconclusive, NotApplicable, NotTested, Outcome
from rolecall.report import exchanges, terminal
from rolecall.report.allure import SEVERITY, identity
from rolecall.spec.loading import load_specification

VERDICT = pytest.StashKey[Verdict]()

# pytest looks for the fixtures of a plugin among the names of its module.
globals().update(fixtures())


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of a run, the same as those of ``rolecall certify``."""
    group = parser.getgroup("rolecall", "certify a server (without --target: the embedded one)")
    for name, keywords in (PYTEST_OPTIONS | OPTIONS).items():
        group.addoption(name, **keywords)


def pytest_configure(config: pytest.Config) -> None:
    """Register the mark, and the run unless nothing is going to be run."""
    config.addinivalue_line(
        "markers", "requirement(id, phase): the requirement that the test proves"
    )
    try:
        options = Options.of(config.option)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from None
    _refuse_other_runners(config)
    config.stash[RUN] = Run(options)
    config.pluginmanager.register(ConformancePlugin(config.stash[RUN]), "rolecall-suite")
    config.pluginmanager.register(FailureTexts(), "rolecall-failure-texts")


def _refuse_other_runners(config: pytest.Config) -> None:
    """Refuse options that would run the tests elsewhere, once more, or without their results."""
    if hasattr(config, "workerinput") or getattr(config.option, "dist", "no") != "no":
        raise pytest.UsageError(
            "-n: the suite runs its tests concurrently in one process, so pytest-xdist cannot "
            "distribute them: leave -n out"
        )
    if getattr(config.option, "reruns", None):
        raise pytest.UsageError("--reruns: every result of the suite is final: leave --reruns out")
    if getattr(config.option, "forked", False):
        raise pytest.UsageError(
            "--forked: the suite runs its tests concurrently in one process, so pytest-forked "
            "cannot give each one its own: leave --forked out"
        )
    needs_cache = ("lf", "stepwise", "cacheshow")
    if not hasattr(config, "cache") and any(
        getattr(config.option, name, None) for name in needs_cache
    ):
        raise pytest.UsageError(
            "--lf, --sw and --cache-show: the suite keeps no cache of pytest's, so all tests would "
            "be run: choose with -k"
        )
    if config.option.setuponly or config.option.setupplan:
        raise pytest.UsageError(
            "--setup-plan and --setup-only: the suite's tests would be run, and not be reported: "
            "--collect-only lists them, and rolecall plan says what they send"
        )


def _has_listeners(config: pytest.Config) -> bool:
    """Whether a plugin, such as Allure's, waits for each test's set-up, call and tear-down."""
    hooks = config.pluginmanager.hook
    listening = [
        hooks.pytest_runtest_protocol,
        hooks.pytest_runtest_setup,
        hooks.pytest_runtest_call,
        hooks.pytest_runtest_teardown,
        hooks.pytest_runtest_makereport,
        hooks.pytest_runtest_logreport,
    ]
    return any(
        not implementation.function.__module__.startswith(("_pytest.", "rolecall."))
        for hook in listening
        for implementation in hook.get_hookimpls()
    )


def _of_a_plugin(error: BaseException | None) -> BaseException | None:
    """What is raised beside a test while it is waited for, as by pytest-timeout: whatever it says,
    it says nothing of the target.
    """
    if type(error) is pytest.fail.Exception:
        return Inconclusive(
            f"the end of the test, which a plugin of pytest broke off: {error}",
            "the plugin's options, such as --timeout of pytest-timeout",
        )
    return error


class ConformancePlugin:
    """The hooks that need the run."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.total = 0
        self.is_listened_to = False
        self._reported: set[str] = set()  # a plugin may run a test's report twice
        self.on_result: Callable[[TestResult], None] = lambda result: None
        self.while_waiting: Callable[[], None] = lambda: None

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Let ``-k`` find a test by its requirement's id, too."""
        item.extra_keyword_matches.add(requirement_of(item))

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the phases in order; within one, the order of the files stays."""
        for item in items:
            check_test(item)
        self.total = len(items)
        self.run.collected = collected(items)
        items.sort(key=phase_of)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Open the run, start the tests, and close the run after the last report."""
        if session.config.option.collectonly or not session.items:
            return (yield)
        end_as_ctrl_c_does()
        expect_no_end()
        proven = {requirement_of(item) for item in session.items}
        self.run.selected = len(session.items) < self.total or proven != set(
            load_specification().requirements
        )
        try:
            self.run.open()
        except RolecallError as error:
            self.run.fatal = error
            raise pytest.UsageError(str(error)) from None
        try:
            if session.config.pluginmanager.has_plugin("allure_listener"):
                self.run.allure = False
            self.is_listened_to = _has_listeners(session.config)
            self.run.run_preflight()
            self.run.context.scheduler.start([self._scheduled(item) for item in session.items])
            with self.run.context.scheduler.minding_ctrl_c():
                return (yield)
        except RolecallError as error:
            self.run.abort(error)
            session.shouldfail = str(error)
            return True
        except (pytest.Session.Failed, pytest.Session.Interrupted) as error:  # -x, --maxfail
            self.run.aborted = str(error)
            raise
        except BaseException as error:
            self.run.abort(error)
            raise
        finally:
            session.config.stash[VERDICT] = self.run.close()

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Report a bug of the harness in one sentence, unless the run has done so."""
        if not self.run.document and not isinstance(excinfo.value, RolecallError):
            self.run.give_up(excinfo.value)

    def _scheduled(self, item: pytest.Item) -> ScheduledTest:
        assert isinstance(item, pytest.Function)
        arguments = arguments_of(item, self.run)
        call = partial(item.obj, **arguments)
        recording = self.run.context.recording
        memory = recording.memory(item.nodeid) if recording else Memory()
        level = load_specification().requirements[requirement_of(item)].level
        return ScheduledTest(
            item.nodeid, phase_of(item), call, arguments.get("cell"), level, memory=memory
        )

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Report a test without pytest's set-up and tear-down, unless a plugin listens to those."""
        if self.is_listened_to:
            return None
        assert isinstance(item, pytest.Function)
        hook = item.ihook  # pytest looks it up anew each time
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        reraise = (pytest.exit.Exception, KeyboardInterrupt)
        call = pytest.CallInfo.from_call(
            lambda: self.pytest_pyfunc_call(item), when="call", reraise=reraise
        )
        report = hook.pytest_runtest_makereport(item=item, call=call)
        hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool:
        """Instead of calling the test, wait for it and raise what it raised."""
        __tracebackhide__ = True
        test = self.run.context.scheduler.wait(pyfuncitem.nodeid, self.while_waiting)
        if pyfuncitem.config.pluginmanager.has_plugin("allure_listener"):
            self._tell_listener(pyfuncitem, test)
        if test.error is None:
            return True
        self._redact(test.error)
        if isinstance(test.error, NotTested | NotApplicable):
            pytest.skip(str(test.error))
        # The first frame is the runner's; the second is the test.
        traceback = test.error.__traceback__
        raise test.error.with_traceback(traceback.tb_next if traceback else None)

    def _redact(self, error: BaseException) -> None:
        """Take the secrets out of an error's text before anybody prints it."""
        redact = self.run.context.secrets.redact
        for name in ("expected", "actual", "missing"):
            if hasattr(error, name):
                setattr(error, name, redact(getattr(error, name)))
        error.args = tuple(
            redact(value) if isinstance(value, str) else value for value in error.args
        )

    def _tell_listener(self, item: pytest.Function, test: ScheduledTest) -> None:
        """Give Allure's own listener, if it is on, the test's labels and exchanges, and what makes
        its history that of our own files: by itself it would take the place of the file and the
        values of parameters for the test's identity.
        """
        labels = self._labels(item)
        for label, value in labels.items():
            allure.dynamic.label(label, value)
        listener: Any = item.config.pluginmanager.get_plugin("allure_listener")
        result = listener.allure_logger.get_test(None)  # the one that is under way
        same = identity(labels["feature"], labels["story"], item.name)
        same["parameters"] = [Parameter(**values) for values in same["parameters"]]
        for name, value in same.items():
            setattr(result, name, value)
        allure.dynamic.description(self._description(item))
        if test.evidence.exchanges:
            text = exchanges.write(test.evidence.exchanges, self.run.context.secrets.redact)
            allure.attach(text, "exchanges", allure.attachment_type.TEXT)

    @staticmethod
    def _labels(item: pytest.Item) -> dict[str, str]:
        requirement = load_specification().requirements[requirement_of(item)]
        return {
            "epic": "Web1on1 v2: authentication",
            "feature": requirement.feature,
            "story": requirement.id,
            "parentSuite": requirement.feature,
            "suite": requirement.id,
            "severity": SEVERITY[requirement.level],
        }

    @staticmethod
    def _description(item: pytest.Item) -> str:
        requirement = load_specification().requirements[requirement_of(item)]
        return (
            f"{requirement.statement}\n\nClause: {requirement.clause} (level: {requirement.level})"
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give the report the outcome in our words and keep the result."""
        report = yield
        if call.when == "call" or (call.when == "setup" and call.excinfo):
            test = self.run.context.scheduler.tests.get(item.nodeid)
            # pytest knows only that some are skipped
            ours = test.error if test and test.done.is_set() else None
            raised = ours or (call.excinfo.value if call.excinfo else None)
            result = self._result(item, raised if ours else _of_a_plugin(raised))
            waive(result, self.run.waivers)
            if result.outcome is Outcome.WAIVED:
                report.outcome = "skipped"
            # For pytest_report_teststatus, below.
            report.rolecall = result.outcome  # type: ignore[attr-defined]
            if item.nodeid not in self._reported:
                self._reported.add(item.nodeid)
                self.run.results.append(result)
                self.on_result(result)
        return report

    def _result(self, item: pytest.Item, error: BaseException | None) -> TestResult:
        result = TestResult(item.name, requirement_of(item), Outcome.PASSED)
        test = self.run.context.scheduler.tests.get(item.nodeid)
        if test:
            result.cell = test.cell
            result.seconds, result.tries, result.evidence = test.seconds, test.tries, test.evidence
        if error is not None:
            self._explain(result, error)
        if result.outcome in (Outcome.INCONCLUSIVE, Outcome.NOT_TESTED):
            result.said = words_behind(result.reason, self.run.context.evidence.exchanges)
        if (
            result.outcome in (Outcome.PASSED, Outcome.NOT_APPLICABLE)
            and not result.evidence.exchanges
        ):
            said = (
                "passed" if result.outcome is Outcome.PASSED else "said that it is not applicable"
            )
            result.outcome, result.reason = (
                Outcome.ERROR,
                f"the test {said} without looking at any exchange",
            )
        return result

    def _explain(self, result: TestResult, error: BaseException) -> None:
        """Put what a test raised into the words of its result."""
        result.reason = str(error)
        if isinstance(error, Finding):
            result.outcome, result.expected, result.actual = (
                Outcome.FAILED,
                error.expected,
                error.actual,
            )
            result.reason = f"expected {error.expected}; got {error.actual}"
            result.shown_by = error.exchange
        elif isinstance(error, AssertionError) or type(error) is pytest.fail.Exception:
            result.outcome, result.actual = Outcome.FAILED, str(error)
            result.expected = load_specification().requirements[result.requirement].statement
            result.shown_by = result.evidence.exchanges[-1] if result.evidence.exchanges else None
        elif isinstance(error, Inconclusive):
            result.outcome, result.reason, result.look_at = (
                Outcome.INCONCLUSIVE,
                error.missing if isinstance(error, Flaky) else f"missing: {error.missing}",
                error.look_at,
            )
        elif isinstance(error, NotApplicable):
            result.outcome, result.reason = Outcome.NOT_APPLICABLE, f"not applicable: {error}"
        elif isinstance(error, NotTested):
            result.outcome, result.capability = Outcome.NOT_TESTED, error.capability
        elif isinstance(error, pytest.skip.Exception):
            result.outcome = Outcome.NOT_TESTED
        elif isinstance(error, RolecallError):
            result.outcome, result.look_at = Outcome.INCONCLUSIVE, "the target"
        else:
            result.outcome, result.reason = (
                Outcome.ERROR,
                f"{type(error).__name__}: {error} ({place_of(error)})",
            )
            self.run.note_bug(error)

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Show an inconclusive test as ``?``, one that is not applicable as ``o``, and one that is
        waived as ``w``.
        """
        outcome = getattr(report, "rolecall", None)
        if outcome is Outcome.INCONCLUSIVE:
            return "inconclusive", "?", "INCONCLUSIVE"
        if outcome is Outcome.NOT_APPLICABLE:
            return "not applicable", "o", "NOT APPLICABLE"
        if outcome is Outcome.WAIVED:
            return "waived", "w", "WAIVED"
        return None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Set pytest's exit code to ours."""
        verdict = session.config.stash.get(VERDICT, None)
        if verdict is None:
            if self.run.bugs:
                session.exitstatus = int(ExitCode.HARNESS_ERROR)
            return
        session.exitstatus = int(verdict.exit_code)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """The verdict below pytest's own summary."""
        if self.run.document:
            terminalreporter.section("rolecall")
            terminalreporter.write_line(
                terminal.summary(self.run.document, str(self.run.context.folder))
            )
