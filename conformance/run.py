"""One execution of the suite: its folder, its world, and what it leaves when it ends, however it ends."""

from __future__ import annotations

import json
import secrets as random
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import rolecall
from rolecall.conformance.ahead import Ahead
from rolecall.conformance.bank import Bank
from rolecall.conformance.cascade import Observed
from rolecall.conformance.expiry import Expiry
from rolecall.conformance.intruder import Intruder
from rolecall.conformance.judge import Judge
from rolecall.conformance.responses import Responses
from rolecall.conformance.results import TestResult, Verdict, advice, counts, findings, judge, requirement_outcomes
from rolecall.conformance.tables import Cell, load_specification
from rolecall.conformance.tidy import tidy
from rolecall.conformance.world import World
from rolecall.embedded import embedded_target
from rolecall.errors import ExitCode, Interrupted, RolecallError, Unreachable, UsageError
from rolecall.evidence import Evidence
from rolecall.forked import beside
from rolecall.http import Client
from rolecall.ledger import Ledger
from rolecall.outcomes import Inconclusive, NotTested, Outcome
from rolecall.reports import curl, har, junit
from rolecall.reports.allure import AllureResults
from rolecall.secrets import Secrets
from rolecall.target import load_target
from rolecall.transports import AWAY

DEFAULT_OUT = Path("reports/runs")
_TIDY_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Options:
    """What the command line asks of a run.

    ``target`` None stands for the embedded server, ``reports`` False for no more than ``results.json``.
    """

    target: Path | None = None
    out: Path = DEFAULT_OUT
    rate: float | None = None
    concurrency: int | None = None
    read_only: bool = False
    intrusive: bool = False
    reports: bool = True
    serve_options: tuple[str, ...] = ()


@dataclass
class Run:
    """A run from its beginning to its last file."""

    options: Options
    results: list[TestResult] = field(default_factory=list)
    selected: bool = False
    aborted: str = ""
    exit_code: ExitCode | None = None
    left: list[str] = field(default_factory=list)
    fatal: RolecallError | None = None

    def open(self) -> None:
        """Read the target file, or start the embedded server; make the folder and the world.

        Raises:
            RolecallError: the target file is wrong, the server does not start, or the folder cannot be made.
        """
        self.spec = load_specification()
        self.stack = ExitStack()
        if self.options.target:
            target = load_target(self.options.target, self.spec.roles)
        else:
            target = self.stack.enter_context(embedded_target(self.spec.roles, self.options.serve_options))
        if self.options.rate is not None:
            target = replace(target, rate_limit=self.options.rate)
        if self.options.concurrency is not None:
            target = replace(target, concurrency=self.options.concurrency)
        self.target = target
        self.dialect = self.spec.dialect(target.dialect, target.source)
        self.spec.for_target(target.operations, self.dialect, target.source)
        if target.expiry.bank:
            Bank(target.expiry.bank, target.base_url).deposits()  # what is wrong with it is said before anything is sent
        self.secrets = Secrets()
        for value, kind in target.secrets:
            self.secrets.add(value, kind)
        self.evidence = Evidence()
        self.started = time.time()
        self.id = datetime.fromtimestamp(self.started, UTC).strftime("%Y%m%d-%H%M%S-") + random.token_hex(3)
        self.folder = _make_folder(self.options.out / self.id)
        self.ahead = Ahead(2 * target.concurrency)
        self.ahead.open()
        self.stack.callback(self.ahead.close)
        client = Client(self.target, self.evidence, self.secrets, read_only=self.options.read_only)
        ledger = Ledger(self.folder / "ledger.jsonl")
        self.world = World(self.target, self.spec, client, ledger, self.id, self.options.read_only, self.options.intrusive)
        self.judge = Judge(self.world)
        self.expiry = Expiry(self.world)
        self.intruder = Intruder(self.world)
        self.responses = Responses(self.evidence, self.world.spec, self.target)
        self.allure = AllureResults(self.environment()) if self.options.reports else None
        self.observed = Observed(lambda: [(job.cell, job.evidence) for job in self.ahead.jobs.values() if job.cell])

    def knock(self) -> None:
        """Log in once, to tell a target that is not there from one that fails.

        Raises:
            Unreachable: nobody answers, or only a gateway does (RFC 9110 15.6.3 to 15.6.5).
        """
        try:
            self.ahead.do(self.world.user(self.world.highest))
        except (Inconclusive, NotTested):
            status = self.evidence.exchanges[-1].status
            if status in AWAY:
                raise Unreachable(self.target.base_url, f"gives no usable answer: {status} to the first log-in") from None

    def abort(self, error: BaseException) -> None:
        """Note why the run ends early."""
        self.aborted = str(error) if isinstance(error, RolecallError) else type(error).__name__
        if isinstance(error, KeyboardInterrupt):
            self.aborted, self.exit_code = "interrupted", ExitCode.INTERRUPTED
        elif isinstance(error, RolecallError):
            self.exit_code = error.exit_code

    def close(self) -> Verdict:
        """Stop, tidy up and write every file; the verdict.

        Raises:
            KeyboardInterrupt: it came while the files were made; ``fatal`` says so, and there is no ``document``.
        """
        try:
            return self._close()
        except KeyboardInterrupt:
            self.fatal = Interrupted(str(self.folder), len(self.left))
            raise

    def _close(self) -> Verdict:
        try:
            self.ahead.stop()
            self.left = self._tidy()
        except KeyboardInterrupt as error:  # a second one: whoever waits does not want to wait for this
            self.abort(error)
            self.left = self._untidied("interrupted once more")
        finally:
            self.finished = time.time()
            self.ahead.do(self.world.close())
            self.stack.close()
        dead = self.world.client.dead
        if dead and not self.exit_code:
            self.abort(dead)
        verdict = judge(self.spec, self.results, self.selected, self.left, self.aborted)
        if self.exit_code and verdict.exit_code is not ExitCode.FAILED:
            verdict = replace(verdict, exit_code=self.exit_code)
        return self._leave(verdict)

    def _tidy(self) -> list[str]:
        clock: list[str] = []
        try:
            self.ahead.do(self.expiry.put_clock_back(), _TIDY_TIMEOUT)
        except (Unreachable, Inconclusive, TimeoutError) as reason:
            clock = [f"the target's clock, moved by {self.expiry.moved:g} s: {reason}"]
        try:
            left: list[str] = self.ahead.do(tidy(self.world), _TIDY_TIMEOUT)
        except (Unreachable, Inconclusive, NotTested, TimeoutError) as reason:
            return self._untidied(str(reason) or "no time to delete it")
        return clock + left

    def _untidied(self, why: str) -> list[str]:
        """All that may be left when nobody could tidy up."""
        clock = [f"the target's clock, moved by {self.expiry.moved:g} s: {why}"] if self.expiry.moved else []
        ledger = self.world.ledger
        return clock + [f"{entry}: {why}" for entry in ledger.left] + [f"perhaps {entry}: {why}" for entry in ledger.doubtful]

    def environment(self) -> dict[str, str]:
        """What a report's reader wants to know of the run at a glance."""
        return {
            "rolecall": rolecall.__version__,
            "target": self.target.name,
            "base_url": self.target.base_url,
            "dialect": str(self.dialect.departures or "default"),
        }

    # --- Files -----------------------------------------------------------------------------------------------------

    def _leave(self, verdict: Verdict) -> Verdict:
        """Write every file, unless it holds a secret after all: then it is left out, and the verdict says so."""
        # Most of the files by number are Allure's, which say nothing of the verdict; the target's processor is idle by now.
        with beside(lambda: self._checked(self._allure_files())) if self.allure else nullcontext(dict) as allure:
            files = {**self._checked(self._files(verdict)), **allure()}
        leaks = [name for name, text in files.items() if text is None]
        if self.secrets.found_in(self.world.ledger.path.read_text(encoding="utf-8")):
            self.world.ledger.path.unlink()
            leaks.append(self.world.ledger.path.name)
        if leaks:
            reason = f"{', '.join(leaks)} would have held a secret and was left out: a bug of rolecall, please report it"
            verdict = replace(verdict, exit_code=ExitCode.SECRET_LEAK, reasons=[reason, *verdict.reasons])
            files |= {name: text for name, text in self._files(verdict).items() if name not in leaks}
        self._write({name: text for name, text in files.items() if text is not None})
        self.document = self.made
        return verdict

    def _write(self, files: dict[str, str]) -> None:
        """Write the files; the one with the verdict last, and whole or not at all."""
        for name in sorted(files, key=lambda name: name == "results.json"):
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            unfinished = path.with_suffix(".part") if name == "results.json" else path
            # JSON of a target may hold half characters.
            unfinished.write_text(files[name], encoding="utf-8", errors="backslashreplace")
            unfinished.replace(path)

    def _checked(self, files: dict[str, str]) -> dict[str, str | None]:
        """None in place of a text that holds a secret."""
        return {name: None if self.secrets.found_in(text) else text for name, text in files.items()}

    def _files(self, verdict: Verdict) -> dict[str, str]:
        """The files that tell of the verdict."""
        self.made = self.secrets.redacted(self._document(verdict))
        files = {"results.json": json.dumps(self.made, indent=1) + "\n"}
        if self.options.reports:
            files["junit.xml"] = junit.write(self.made)
            files["evidence.har"] = har.write(self.evidence.exchanges, cache(self.secrets.redact))
        return files

    def _allure_files(self) -> dict[str, str]:
        assert self.allure
        return {f"allure-results/{name}": text for name, text in self.allure.files(cache(self.secrets.redact))}

    def _document(self, verdict: Verdict) -> dict[str, Any]:
        outcomes = requirement_outcomes(self.spec, self.results)
        by_cell = {str(result.cell): result for result in self.results if result.cell}
        return {
            "verdict": verdict.word,
            "exit_code": int(verdict.exit_code),
            "reasons": verdict.reasons,
            "run": self.id,
            "suite": {"name": "rolecall", "version": rolecall.__version__, "specification": self.spec.name, **self.spec.digests},
            "target": {"name": self.target.name, "base_url": self.target.base_url},
            "dialect": {"values": self.dialect.values, "departures": self.dialect.departures},
            "expiry_evidence": self.expiry.grade,
            "selected": self.selected,
            "read_only": self.options.read_only,
            "started": _iso(self.started),
            "finished": _iso(self.finished),
            "requests": len(self.evidence.exchanges),
            "counts": {
                "cells": counts(
                    by_cell[str(cell)].outcome if str(cell) in by_cell else Outcome.NOT_TESTED for cell in self.spec.cells
                ),
                "requirements": counts(outcome for outcome, _ in outcomes.values()),
                "tests": counts(result.outcome for result in self.results),
            },
            "findings": [self._finding(result) for result in findings(self.spec, self.results)],
            "requirements": [
                {
                    "id": id,
                    "level": self.spec.requirements[id].level,
                    "clause": self.spec.requirements[id].clause,
                    "statement": self.spec.requirements[id].statement,
                    "outcome": outcome.value,
                    "reason": _reason(outcome, tests),
                    "tests": [_test_document(test) for test in tests],
                }
                for id, (outcome, tests) in outcomes.items()
            ],
            "cells": [_cell_document(cell, by_cell.get(str(cell))) for cell in self.spec.cells],
            "advice": [self._finding(result) for result in advice(self.spec, self.results)],
            "observations": [
                {"requirement": result.requirement, "test": result.name, "note": note}
                for result in self.results
                if self.spec.requirements[result.requirement].level == "observe"
                for note in result.evidence.notes
            ],
            "left_behind": self.left,
        }

    def _finding(self, result: TestResult) -> dict[str, Any]:
        requirement = self.spec.requirements[result.requirement]
        return {
            "requirement": requirement.id,
            "level": requirement.level,
            "clause": requirement.clause,
            "statement": requirement.statement,
            "test": result.name,
            "cell": str(result.cell) if result.cell else None,
            "expected": result.expected,
            "actual": result.actual,
            "exchange": result.shown_by.number if result.shown_by else None,
            "curl": curl.command(result.shown_by, self.secrets.redact) if result.shown_by else None,
        }


def _reason(outcome: Outcome, tests: list[TestResult]) -> str:
    """Why a requirement has its outcome: the words of the first test that decided it."""
    if not tests:
        return "not selected"
    deciding = [test for test in tests if test.outcome is outcome]
    others = f" (and {len(deciding) - 1} more)" if len(deciding) > 1 and outcome is not Outcome.PASSED else ""
    first = next((test.reason for test in deciding if test.reason), "")
    return first + others if first else ""


def _test_document(test: TestResult) -> dict[str, Any]:
    return {
        "name": test.name,
        "outcome": test.outcome.value,
        "reason": test.reason,
        "look_at": test.look_at,
        "notes": test.evidence.notes,
        "seconds": round(test.seconds, 4),
        "tries": test.tries,
        "evidence": {piece: exchange.number for piece, exchange in test.evidence.named.items()},
        "exchanges": [exchange.number for exchange in test.evidence.exchanges],
    }


def _cell_document(cell: Cell, result: TestResult | None) -> dict[str, Any]:
    answer = result.evidence.named.get("answer") if result else None
    return {
        "operation": cell.operation,
        "role": cell.role,
        "credential": cell.credential,
        "expected": cell.expected,
        "outcome": result.outcome.value if result else Outcome.NOT_TESTED.value,
        "reason": result.reason if result else "not selected",
        "status": answer.status if answer and answer.status else None,
    }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            str(folder), f"the run's folder cannot be made: {error.strerror}", "Choose another with --out."
        ) from None
    return folder
