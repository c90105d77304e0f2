"""One run of the suite: its ends, its clean-up, and the files that it leaves."""

from __future__ import annotations

import json
import time
import traceback
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from rolecall.endings import first_noted
from rolecall.errors import ExitCode, Interrupted, RolecallError, Unreachable, UsageError, place_of
from rolecall.finished_run import EVIDENCE, REPLAY, RESULTS
from rolecall.forked import beside
from rolecall.harness.cleanup import tidy
from rolecall.harness.context import RunContext
from rolecall.harness.document import RunFacts, results_document
from rolecall.harness.earlier import LAST, last_run, named_run, note_run
from rolecall.harness.leftovers import left_by_others
from rolecall.harness.options import Options
from rolecall.harness.preflight import Preflight
from rolecall.harness.results import TestResult, Verdict, judge
from rolecall.harness.run_files import take_back, write_run
from rolecall.harness.sealing import sealed
from rolecall.harness.waiving import (
    Collected,
    UsedWaiver,
    used_waivers,
    waive_what_follows,
    waivers_of_run,
)
from rolecall.outcomes import Inconclusive, NotTested
from rolecall.replay.document import replay_document
from rolecall.report import allure, artefacts, certificate, har, leaks
from rolecall.report.comparison import compare
from rolecall.signing import CertificateKey, signing_key
from rolecall.waiver_file import note_seen
from rolecall.waivers import Waivers
from rolecall.whole_files import NotWrittenWhole, write_file

#: The file with the tracebacks of what only a bug of the harness can raise.
BUGS = "harness-errors.txt"
#: Seconds that a target may ask to wait before it lets the highest role log in once more, and its
#: rate afterwards, at least.
_LONGEST_PAUSE, _THROTTLED_RATE = 120.0, 2.0
_TIDY_TIMEOUT = 60.0  # seconds


@dataclass
class Run:
    """A run from its beginning to its last file; ``document`` is results.json, once written."""

    options: Options
    results: list[TestResult] = field(default_factory=list)
    selected: bool = False
    aborted: str = ""
    exit_code: ExitCode | None = None
    left: list[str] = field(default_factory=list)
    fatal: RolecallError | None = None
    bugs: list[str] = field(default_factory=list)
    document: dict[str, Any] = field(default_factory=dict)
    preflight: Preflight | None = None
    allure: bool = True  # whether its results are written by us
    finished: float = 0.0  # seconds since 1970
    key: CertificateKey | None = None  # signs the certificate
    waivers: Waivers = field(default_factory=Waivers)
    collected: Collected = field(default_factory=dict)
    used_waivers: list[UsedWaiver] = field(default_factory=list)
    before: dict[str, Any] | None = None  # the results of the run to compare with
    unnoted: str = ""  # why this run is not in the history
    _context: RunContext | None = None

    @property
    def context(self) -> RunContext:
        """What the run works with, once it is open."""
        assert self._context, "the run is not open"
        return self._context

    @property
    def is_open(self) -> bool:
        """Whether there is a context, and so a folder."""
        return self._context is not None

    def open(self) -> None:
        """Open the context.

        Raises:
            RolecallError: as for `RunContext.open`.
        """
        self.key = signing_key(self.options.sign)
        self.waivers = waivers_of_run(self.options.waivers)
        self.before = named_run(self.options.since, self.options.out)
        self._context = RunContext.open(self.options)
        if self.options.since == LAST:
            self.before = last_run(self.options.out, self.context.target)

    def run_preflight(self) -> None:
        """Log in with every account, and look whether the target file fits the target.

        Raises:
            RolecallError: the target is not there, or the target file does not fit it.
        """
        self.preflight = Preflight(self.context.world)
        self.context.scheduler.do(self.preflight.run())

    def abort(self, error: BaseException) -> None:
        """Note why the run ends early."""
        if isinstance(error, KeyboardInterrupt):
            self.aborted, self.exit_code = "interrupted", ExitCode.INTERRUPTED
        elif isinstance(error, RolecallError):
            said = error.line if isinstance(error, UsageError) else str(error)
            self.aborted, self.exit_code = said, error.exit_code
        else:
            self.aborted, self.exit_code = self.note_bug(error), ExitCode.HARNESS_ERROR

    def note_bug(self, error: BaseException) -> str:
        """Keep the traceback of a bug of the harness, and return a sentence on it."""
        self.bugs.append("".join(traceback.format_exception(error)))
        return (
            f"the harness broke: {type(error).__name__} in {place_of(error)}; {BUGS} in the "
            "run's folder has the traceback"
        )

    def give_up(self, error: BaseException) -> None:
        """End the command after a bug in the making of the files; only the traceback is written."""
        sentence = self.note_bug(error)
        self.fatal = self.fatal or RolecallError(sentence)
        if self.is_open:
            with suppress(NotWrittenWhole):
                write_file(self.context.folder / BUGS, self._bug_report())

    def _bug_report(self) -> str:
        return self.context.secrets.redact("\n".join(self.bugs))

    def close(self) -> Verdict:
        """Stop, tidy up and write every file; the verdict.

        A signal that ends a run which has come to its end by itself does not break that off.

        Raises:
            KeyboardInterrupt: a second one came while the files were made; ``fatal`` says so.
        """
        try:
            with first_noted(self._interrupted_late):
                return self._close()
        except KeyboardInterrupt:
            self.fatal = Interrupted(str(self.context.folder), len(self.left))
            raise

    def _interrupted_late(self) -> None:
        """Note that the run was to end, as long as that can be a part of its verdict."""
        if not self.exit_code and not self.finished:
            self.abort(KeyboardInterrupt())

    def _close(self) -> Verdict:
        try:
            self.context.scheduler.stop()
            self.left = self._tidy()
        except KeyboardInterrupt as error:  # a second one: the user does not want to wait
            self.abort(error)
            self.left = self._untidied("interrupted once more")
        finally:
            self.finished = time.time()
            self.context.scheduler.do(self.context.world.close())
            self.context.stack.close()
        why = self.context.world.client.dead or self.context.world.ledger.full
        if why and not self.exit_code:
            self.abort(why)
        waive_what_follows(self.results, self.waivers)
        self.used_waivers = used_waivers(self.waivers, self.results, self.collected)
        verdict = judge(
            self.context.spec,
            self.results,
            self.selected,
            self.left,
            self.aborted,
            self.used_waivers,
        )
        if self.exit_code and (
            verdict.exit_code is not ExitCode.FAILED or self.exit_code is ExitCode.HARNESS_ERROR
        ):
            verdict = replace(verdict, exit_code=self.exit_code)
        return self._leave(verdict)

    def _tidy(self) -> list[str]:
        # putting the clock back tries again; what is said of the run stays
        gone = self.context.world.client.dead
        clock = self._clock_left()
        try:
            left: list[str] = self.context.scheduler.do(
                tidy(self.context.world), self._time_to_tidy()
            )
        except (Unreachable, Inconclusive, NotTested, NotWrittenWhole, TimeoutError) as reason:
            return self._untidied(str(reason) or "no time to delete it")
        finally:
            self.context.world.client.dead = self.context.world.client.dead or gone
        return clock + left

    def _time_to_tidy(self) -> float:
        """Seconds: at a low rate limit, or where the target asked for pauses, deletions take longer
        than the usual minute.
        """
        requests = 2 * len(list(self.context.world.ledger.left)) + 50
        seconds = _TIDY_TIMEOUT + (
            requests / self.context.target.rate_limit if self.context.target.rate_limit else 0.0
        )
        was_throttled = any(exchange.attempts > 1 for exchange in self.context.evidence.exchanges)
        return seconds + (_LONGEST_PAUSE + requests / _THROTTLED_RATE if was_throttled else 0.0)

    def _clock_left(self) -> list[str]:
        """Put the target's clock back; a line if it is not proven to be where it was."""
        try:
            self.context.scheduler.do(
                self.context.expiry.clock.put_back(_TIDY_TIMEOUT), _TIDY_TIMEOUT
            )
        except TimeoutError:
            return self.context.expiry.clock.left(f"no answer within {_TIDY_TIMEOUT:g} s")
        except Exception as error:  # noqa: BLE001  # a clock that is a day ahead must be named
            return self.context.expiry.clock.left(type(error).__name__)
        return self.context.expiry.clock.left()

    def _untidied(self, why: str) -> list[str]:
        """All that may be left if the clean-up did not happen."""
        ledger = self.context.world.ledger
        things = [f"{entry}: {why}" for entry in ledger.left]
        things += [f"perhaps {entry}: {why}" for entry in ledger.doubtful if entry.is_thing]
        return self.context.expiry.clock.left(why) + things

    # --- Files ----------------------------------------------------------------------------------

    def _leave(self, verdict: Verdict) -> Verdict:
        """Write every file, and say in the verdict where a secret had to be masked."""
        remarks = [*(self.preflight.remarks() if self.preflight else ()), *self._remarks()]
        verdict = replace(
            verdict, reasons=[*remarks, *verdict.reasons, *self._limits_of_redaction()]
        )
        document = self._redacted_document(verdict)
        files = self._checked_files(document)
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
            files |= self._checked({RESULTS: _json(self._redacted_document(verdict))})
            document = json.loads(files[RESULTS][0])
        ledger = self.context.world.ledger.path.name
        texts = {name: text for name, (text, places) in files.items() if name != ledger or places}
        try:
            write_run(self.context.folder, texts | sealed(document, texts, self.key))
        except NotWrittenWhole as error:
            verdict, document = self._leave_the_verdict(verdict, error)
        self.document = document
        if EVIDENCE in files:
            self.unnoted = note_run(self.options.out, document)
        return verdict

    def _leave_the_verdict(
        self, verdict: Verdict, error: NotWrittenWhole
    ) -> tuple[Verdict, dict[str, Any]]:
        """Where a file could not be written, leave results.json alone, if there is room for it.

        The other files would tell of another verdict, and without the evidence nothing is proven.
        """
        folder = self.context.folder
        take_back(folder, (*artefacts.WRITERS, EVIDENCE, REPLAY, certificate.CERTIFICATE))
        status = "not-conformant" if verdict.status == "not-conformant" else "inconclusive"
        verdict = Verdict(status, ExitCode.HARNESS_ERROR, [str(error), *verdict.reasons])
        document = self._redacted_document(verdict)
        ((text, _),) = self._checked({RESULTS: _json(document)}).values()
        try:
            write_file(folder / RESULTS, text)
        except NotWrittenWhole as another:
            error = another
        self.aborted = self.aborted or str(error)
        return verdict, document

    def _checked_files(self, document: dict[str, Any]) -> dict[str, tuple[str, list[str]]]:
        """All files, each with the places where a secret had to be masked."""
        own = {RESULTS: _json(document), **self._ledger()}
        if self.bugs:
            own[BUGS] = self._bug_report()
        if self.options.no_reports:
            return self._checked(own)
        secrets = self.context.secrets
        evidence = har.document(self.context.evidence.exchanges, cache(secrets.redact))
        # Most of the files by number are Allure's, which say nothing of the verdict; the target's
        # processor is idle by now.
        with (
            beside(lambda: self._checked(_allure_files(document, evidence)))
            if self.allure
            else nullcontext(dict) as of_allure
        ):
            inconclusive = self.options.junit_inconclusive
            made = artefacts.texts(document, evidence, inconclusive=inconclusive)
            made[EVIDENCE] = har.write(evidence)
            made[REPLAY] = json.dumps(self._replay_document(), separators=(",", ":")) + "\n"
            return {**self._checked(own | made), **of_allure()}

    def _remarks(self) -> Iterator[str]:
        """Fill in the waivers' file; what earlier runs left, and what could not be done of what the
        options ask for.
        """
        others = self.context.world.others
        if others:
            yield left_by_others(others, self.options, self.context.started)
        if self.options.since and not self.before:
            yield f"no whole run of this target is in {self.options.out} to be compared with"
        if self.context.expiry.unusable:
            yield f"the run went on without its token bank: {self.context.expiry.unusable}"
        seen = [used.waiver for used in self.used_waivers if used.failures]
        if self.options.waivers and (
            said := note_seen(self.options.waivers, self.waivers.text, seen, self.waivers.today)
        ):
            yield said

    def _limits_of_redaction(self) -> Iterator[str]:
        """What a reader has to know before showing the files to others."""
        plain = [
            account.name
            for account in self.context.target.accounts.values()
            if self.context.secrets.is_plain(account.password)
        ]
        if plain:
            yield (
                f"the password of {', '.join(plain)} is like ordinary text: it is masked only "
                "where it stands as a value of its own"
            )
        if self.context.secrets.is_flooded:
            yield (
                "the target sent more tokens, or longer ones, than are remembered: the others "
                "are masked only in members named so"
            )

    def _checked(self, files: dict[str, str]) -> dict[str, tuple[str, list[str]]]:
        """Each text without the secrets that it should not have held, and where they stood."""
        return {
            name: leaks.masked(name, text, self.context.secrets) for name, text in files.items()
        }

    def _replay_document(self) -> dict[str, Any]:
        context = self.context
        facts = {
            "run": context.id,
            "started": context.started,
            "monotonic": context.monotonic,
            "read_only": self.options.read_only,
            "intrusive": self.options.intrusive,
        }
        scheduler = context.scheduler
        tests = {test.name: test.memory.kept for test in scheduler.tests.values()}
        tests[""] = scheduler.memory.kept
        return replay_document(facts, context.target, tests, context.secrets)

    def _redacted_document(self, verdict: Verdict) -> dict[str, Any]:
        """The document without secrets; our own names, numbers and outcomes stay as they are."""
        context = self.context
        facts = RunFacts(
            context.id,
            context.spec,
            context.target,
            context.dialect,
            context.expiry.grade,
            self.selected,
            self.options.read_only,
            context.started,
            self.finished,
            len(context.evidence.exchanges),
            self.left,
            context.world.spec.operations,
        )
        secrets = context.secrets
        document = results_document(facts, self.results, verdict, secrets.redact)
        document["waivers"] = [used.document() for used in self.used_waivers]
        document["waiver_file"] = self.waivers.source or None
        document["since"] = compare(self.before, document) if self.before else None
        # What is expected of the cells is ours, and only their reasons hold a target's words.
        cells = secrets.redacted(document["cells"], frozenset({"reason", "subject"}))
        return {**secrets.redacted(document, leaks.FOREIGN[RESULTS]), "cells": cells}

    def _ledger(self) -> dict[str, str]:
        path = self.context.world.ledger.path
        return {path.name: path.read_text(encoding="utf-8")}


def _allure_files(document: dict[str, Any], evidence: dict[str, Any]) -> dict[str, str]:
    return {f"{allure.FOLDER}/{name}": text for name, text in allure.files(document, evidence)}


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=1) + "\n"
