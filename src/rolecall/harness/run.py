"""One execution of the suite: its folder, its world, and what it leaves when it ends, however it
ends.
"""

from __future__ import annotations

import json
import secrets as random
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import rolecall
from rolecall.embedded import embedded_target
from rolecall.errors import ExitCode, Interrupted, RolecallError, Unreachable, UsageError, place_of
from rolecall.evidence import Evidence
from rolecall.forked import beside
from rolecall.harness.cleanup import tidy
from rolecall.harness.preflight import Preflight
from rolecall.harness.results import (
    TestResult,
    Verdict,
    advice,
    counts,
    findings,
    judge,
    requirement_outcomes,
)
from rolecall.harness.scheduler import Scheduler
from rolecall.http.client import Client
from rolecall.http.gate import Gate
from rolecall.ledger import Ledger
from rolecall.outcomes import Inconclusive, NotTested, Outcome
from rolecall.redaction import Secrets
from rolecall.report import curl, har, junit, leaks
from rolecall.report.allure import AllureResults
from rolecall.spec.loading import load_specification
from rolecall.spec.model import Cell, Specification
from rolecall.target import Target, load_target
from rolecall.token_bank import TokenBank
from rolecall.toolkit.attacker import Attacker
from rolecall.toolkit.expiry import Expiry
from rolecall.toolkit.judge import Judge
from rolecall.toolkit.observed_cells import ObservedCells
from rolecall.toolkit.responses import Responses
from rolecall.toolkit.world import World

DEFAULT_OUT = Path("reports/runs")
#: The file with the tracebacks of what only a bug of the harness can raise.
BUGS = "harness-errors.txt"
#: Seconds that a target may ask to wait before it lets the highest role log in once more, and its
#: rate afterwards, at least.
_LONGEST_PAUSE, _THROTTLED_RATE = 120.0, 2.0
_TIDY_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True)
class Options:
    """What the command line asks of a run.

    ``target`` None stands for the embedded server, ``reports`` False for no more than
    ``results.json``.
    """

    target: Path | None = None
    out: Path = DEFAULT_OUT
    rate: float | None = None
    concurrency: int | None = None
    read_only: bool = False
    intrusive: bool = False
    reports: bool = True
    serve_options: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what no run could keep to.

        Raises:
            UsageError: an option is out of bounds.
        """
        if self.rate is not None and not 0 <= self.rate < float("inf"):
            raise UsageError(
                "--rate",
                f"{self.rate:g} is no rate",
                "Give requests per second, or 0 for no limit.",
            )
        if self.concurrency is not None and self.concurrency < 1:
            raise UsageError("--concurrency", "at least one request must be in flight")


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
    bugs: list[str] = field(default_factory=list)

    def open(self) -> None:
        """Read the target file, or start the embedded server; make the folder and the world.

        Raises:
            RolecallError: the target file is wrong, the server does not start, or the folder cannot
                be made.
        """
        self.spec = load_specification()
        self.stack = ExitStack()
        if self.options.target:
            target = load_target(self.options.target, self.spec.roles)
        else:
            target = self.stack.enter_context(
                embedded_target(self.spec.roles, self.options.serve_options)
            )
        if self.options.rate is not None:
            target = replace(target, rate_limit=self.options.rate)
        if self.options.concurrency is not None:
            target = replace(target, concurrency=self.options.concurrency)
        self.target = target
        self.dialect = self.spec.dialect(target.dialect, target.source)
        self.spec.for_target(target.operations, self.dialect, target.source)
        if target.expiry.bank:
            TokenBank(
                target.expiry.bank, target.base_url
            ).deposits()  # what is wrong with it is said before anything is sent
        self.secrets = _secrets_of(target, self.spec)
        self.evidence = Evidence()
        self.started = time.time()
        self.id = datetime.fromtimestamp(self.started, UTC).strftime(
            "%Y%m%d-%H%M%S-"
        ) + random.token_hex(3)
        self.secrets.spare(self.id)
        self.folder = _make_folder(self.options.out / self.id)
        self.ahead = Scheduler(2 * target.concurrency)
        self.ahead.open()
        self.stack.callback(self.ahead.close)
        ledger = Ledger(self.folder / "ledger.jsonl")
        gate = Gate(
            ledger,
            target.base_url,
            target.accounts.values(),
            clock_url=target.expiry.clock_url,
            read_only=self.options.read_only,
        )
        client = Client(self.target, self.evidence, self.secrets, gate)
        self.world = World(
            self.target,
            self.spec,
            client,
            ledger,
            self.id,
            self.options.read_only,
            self.options.intrusive,
        )
        self.judge = Judge(self.world)
        self.expiry = Expiry(self.world)
        self.attacker = Attacker(self.world)
        self.responses = Responses(self.evidence, self.world.spec, self.target)
        self.allure = AllureResults(self.environment()) if self.options.reports else None
        cells = lambda: [(job.cell, job.evidence) for job in self.ahead.jobs.values() if job.cell]  # noqa: E731
        self.observed = ObservedCells(cells, self.world.spec.operations, self.world.dialect)

    def fly_ahead(self) -> None:
        """The preflight.

        Raises:
            RolecallError: the target is not there, or the target file does not fit it.
        """
        self.preflight = Preflight(self.world)
        self.ahead.do(self.preflight.run())

    def abort(self, error: BaseException) -> None:
        """Note why the run ends early."""
        if isinstance(error, KeyboardInterrupt):
            self.aborted, self.exit_code = "interrupted", ExitCode.INTERRUPTED
        elif isinstance(error, RolecallError):
            self.aborted, self.exit_code = str(error), error.exit_code
        else:
            self.aborted, self.exit_code = self.note_bug(error), ExitCode.HARNESS_ERROR

    def note_bug(self, error: BaseException) -> str:
        """Keep the traceback of a bug of the harness for the run's folder; the sentence that tells
        of it.
        """
        self.bugs.append("".join(traceback.format_exception(error)))
        return (
            f"the harness broke: {type(error).__name__} in {place_of(error)}; {BUGS} in the "
            "run's folder has the traceback"
        )

    def give_up(self, error: BaseException) -> None:
        """What broke the making of the run's files themselves ends the command, and leaves no more
        than its traceback.
        """
        sentence = self.note_bug(error)
        self.fatal = self.fatal or RolecallError(sentence)
        if hasattr(self, "folder"):
            (self.folder / BUGS).write_text(
                self._bug_report(), encoding="utf-8", errors="backslashreplace"
            )

    def _bug_report(self) -> str:
        return self.secrets.redact("\n".join(self.bugs))

    def close(self) -> Verdict:
        """Stop, tidy up and write every file; the verdict.

        Raises:
            KeyboardInterrupt: it came while the files were made; ``fatal`` says so, and there is no
                ``document``.
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
        except (
            KeyboardInterrupt
        ) as error:  # a second one: whoever waits does not want to wait for this
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
        if self.exit_code and (
            verdict.exit_code is not ExitCode.FAILED or self.exit_code is ExitCode.HARNESS_ERROR
        ):
            verdict = replace(verdict, exit_code=self.exit_code)
        return self._leave(verdict)

    def _tidy(self) -> list[str]:
        gone = (
            self.world.client.dead
        )  # putting the clock back tries again; what is said of the run stays
        clock = self._clock_left()
        try:
            left: list[str] = self.ahead.do(tidy(self.world), self._time_to_tidy())
        except (Unreachable, Inconclusive, NotTested, TimeoutError) as reason:
            return self._untidied(str(reason) or "no time to delete it")
        finally:
            self.world.client.dead = self.world.client.dead or gone
        return clock + left

    def _time_to_tidy(self) -> float:
        """Seconds: at a low rate limit, or where the target asked for pauses, deletions take longer
        than the usual minute.
        """
        requests = 2 * len(list(self.world.ledger.left)) + 50
        seconds = _TIDY_TIMEOUT + (
            requests / self.target.rate_limit if self.target.rate_limit else 0.0
        )
        was_throttled = any(exchange.attempts > 1 for exchange in self.evidence.exchanges)
        return seconds + (_LONGEST_PAUSE + requests / _THROTTLED_RATE if was_throttled else 0.0)

    def _clock_left(self) -> list[str]:
        """Put the target's clock back; a line if it is not proven to be where it was."""
        try:
            self.ahead.do(self.expiry.clock.put_back(_TIDY_TIMEOUT), _TIDY_TIMEOUT)
        except TimeoutError:
            return self.expiry.clock.left(f"no answer within {_TIDY_TIMEOUT:g} s")
        except Exception as error:  # noqa: BLE001  # whatever it was: a clock that is a day ahead must be named
            return self.expiry.clock.left(type(error).__name__)
        return self.expiry.clock.left()

    def _untidied(self, why: str) -> list[str]:
        """All that may be left when nobody could tidy up."""
        ledger = self.world.ledger
        things = [f"{entry}: {why}" for entry in ledger.left]
        things += [f"perhaps {entry}: {why}" for entry in ledger.doubtful if entry.is_thing]
        return self.expiry.clock.left(why) + things

    def environment(self) -> dict[str, str]:
        """What a report's reader wants to know of the run at a glance."""
        return {
            "rolecall": rolecall.__version__,
            "target": self.target.name,
            "base_url": self.target.base_url,
            "dialect": str(self.dialect.departures or "default"),
        }

    # --- Files -----------------------------------------------------------------------------------

    def _leave(self, verdict: Verdict) -> Verdict:
        """Write every file. If a secret would stand in one after all, it is masked, and the verdict
        says where.
        """
        remarks = self.preflight.remarks() if hasattr(self, "preflight") else ()
        verdict = replace(
            verdict, reasons=[*remarks, *verdict.reasons, *self._limits_of_redaction()]
        )
        # Most of the files by number are Allure's, which say nothing of the verdict; the target's
        # processor is idle by now.
        with (
            beside(lambda: self._checked(self._allure_files()))
            if self.allure
            else nullcontext(dict) as allure
        ):
            files = {
                **self._checked(self._files(verdict)),
                **allure(),
                **self._checked(self._ledger()),
            }
        found = [f"{name} ({place})" for name, (_, places) in files.items() for place in places]
        if found:
            more = f" and {len(found) - 1} more places" if len(found) > 1 else ""
            reason = (
                f"{found[0]}{more} would have held a secret and was masked: a bug of "
                "rolecall, please report it"
            )
            verdict = replace(
                verdict, exit_code=ExitCode.SECRET_LEAK, reasons=[reason, *verdict.reasons]
            )
            files |= self._checked({"results.json": self._results(verdict)})
            self.made = json.loads(files["results.json"][0])
        self._write(
            {
                name: text
                for name, (text, places) in files.items()
                if name != self.world.ledger.path.name or places
            }
        )
        self.document = self.made
        return verdict

    def _write(self, files: dict[str, str]) -> None:
        """Write the files; those that stand by themselves whole or not at all, the one with the
        verdict last.
        """
        for name in sorted(files, key=lambda name: name == "results.json"):
            path = self.folder / name
            path.parent.mkdir(exist_ok=True)
            if path.parent == self.folder:
                _replace(path, files[name])
            else:
                path.write_text(files[name], encoding="utf-8", errors="backslashreplace")

    def _limits_of_redaction(self) -> Iterator[str]:
        """What a reader has to know before showing the files to others."""
        plain = [
            account.name
            for account in self.target.accounts.values()
            if self.secrets.is_plain(account.password)
        ]
        if plain:
            yield (
                f"the password of {', '.join(plain)} is like ordinary text: it is masked only "
                "where it stands as a value of its own"
            )
        if self.secrets.is_flooded:
            yield (
                "the target sent more tokens, or longer ones, than are remembered: the others "
                "are masked only in members named so"
            )

    def _checked(self, files: dict[str, str]) -> dict[str, tuple[str, list[str]]]:
        """Each text without the secrets that it should not have held, and where they stood."""
        return {name: leaks.masked(name, text, self.secrets) for name, text in files.items()}

    def _files(self, verdict: Verdict) -> dict[str, str]:
        """The files that tell of the verdict."""
        files = {"results.json": self._results(verdict)}
        if self.bugs:
            files[BUGS] = self._bug_report()
        if self.options.reports:
            files["junit.xml"] = junit.write(self.made)
            files["evidence.har"] = har.write(self.evidence.exchanges, cache(self.secrets.redact))
        return files

    def _results(self, verdict: Verdict) -> str:
        """The text of ``results.json``; what is ours in it, names, numbers and outcomes, stays as
        it is.
        """
        document = self._document(verdict)
        cells = self.secrets.redacted(
            document["cells"], frozenset({"reason"})
        )  # what is expected of them is ours
        self.made = {
            **self.secrets.redacted(document, leaks.FOREIGN["results.json"]),
            "cells": cells,
        }
        return json.dumps(self.made, indent=1) + "\n"

    def _ledger(self) -> dict[str, str]:
        path = self.world.ledger.path
        return {path.name: path.read_text(encoding="utf-8")}

    def _allure_files(self) -> dict[str, str]:
        assert self.allure
        return {
            f"allure-results/{name}": text
            for name, text in self.allure.files(cache(self.secrets.redact))
        }

    def _document(self, verdict: Verdict) -> dict[str, Any]:
        outcomes = requirement_outcomes(self.spec, self.results)
        by_cell = {str(result.cell): result for result in self.results if result.cell}
        return {
            "verdict": verdict.status,
            "exit_code": int(verdict.exit_code),
            "reasons": verdict.reasons,
            "run": self.id,
            "suite": {
                "name": "rolecall",
                "version": rolecall.__version__,
                "specification": self.spec.name,
                **self.spec.digests,
            },
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
                    by_cell[str(cell)].outcome if str(cell) in by_cell else Outcome.NOT_TESTED
                    for cell in self.spec.cells
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
                    "step": self.spec.requirements[id].step,
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
            "step": requirement.step,
            "statement": requirement.statement,
            "test": result.name,
            "cell": str(result.cell) if result.cell else None,
            "expected": result.expected,
            "actual": result.actual,
            "exchange": result.shown_by.number if result.shown_by else None,
            "curl": curl.command(result.shown_by, self.secrets.redact) if result.shown_by else None,
        }


def _secrets_of(target: Target, spec: Specification) -> Secrets:
    """The target file's secrets, told apart from what is public."""
    secrets = Secrets()
    secrets.spare(*_public_words(spec, target))
    for value, kind in target.secrets:
        secrets.add(value, kind)
    return secrets


def _public_words(spec: Specification, target: Target) -> Iterator[str]:
    """What the reports of a run say anyway: no word of it is hidden because somebody calls it a
    secret.
    """
    for entry in spec.requirements.values():
        yield f"{entry.id} {entry.feature} {entry.clause} {entry.statement}"
    for operation in spec.operations.values():
        yield f"{operation.name} {operation.row} {operation.path} {operation.resource.name}"
    yield from (str(cell) for cell in spec.cells)
    yield from (f"{account.name} {account.email}" for account in target.accounts.values())
    yield from (
        *spec.roles,
        target.name,
        target.base_url,
        target.expiry.clock_url,
        target.api_keys.create_path,
    )


def _reason(outcome: Outcome, tests: list[TestResult]) -> str:
    """Why a requirement has its outcome: the words of the first test that decided it."""
    if not tests:
        return "not selected"
    deciding = [test for test in tests if test.outcome is outcome]
    others = (
        f" (and {len(deciding) - 1} more)"
        if len(deciding) > 1 and outcome is not Outcome.PASSED
        else ""
    )
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
    return (
        datetime.fromtimestamp(moment, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
    )


def _replace(path: Path, text: str) -> None:
    """Write a file anew such that at every moment the old one or the new one is whole."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(
        text, encoding="utf-8", errors="backslashreplace"
    )  # JSON of a target may hold half characters
    new.replace(path)


def _make_folder(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(
            str(folder),
            f"the run's folder cannot be made: {error.strerror}",
            "Choose another with --out.",
        ) from None
    return folder
