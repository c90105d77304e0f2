"""Runs the suite against the reference server with each fault and each legal variant.

Every case is two processes, a server and a run, both forked from a process that has imported what
they need; cases share nothing.

A fault is looked for by the tests of the requirement that it breaks, and of all those whose
findings would be named before; the others run only if these do not find it. Under load a short run
comes first. Of a flipped cell all cells are looked at. Legal variants always get the whole suite,
since all findings count.

Longer than 400 lines because planning, running and judging a case follow each other here.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from rolecall.embedded import CHEAP, SIGNING_KEY
from rolecall.errors import RolecallError
from rolecall.harness.results import order_of
from rolecall.selftest.cases import Case
from rolecall.selftest.prepared import Order, Prepared, Said
from rolecall.selftest.trials import INTRUSIVE, Result, Trial
from rolecall.spec.loading import load_specification

#: What a case's processes import; the fork server imports it once for all of them.
_PRELOAD = [
    "allure",
    "jwt",
    "jsonschema",
    "httpx",
    "anyio._backends._asyncio",
    "rolecall.harness.entry",
    "rolecall.harness.progress",
    "rolecall.reference.__main__",
]
_TIMEOUT = 420.0  # seconds; the slowest case is a server that lets 20 requests a second through
#: Where the environment has none; one as long as this process lives, as the fork server does.
_OWN_KEY = secrets.token_urlsafe(48)
#: For how long: of a fault shortly first.
_SHORTLY, _LOADED = "2s", "8s"


def run_all(
    chosen: Iterable[Case],
    on_result: Callable[[Result], None] = lambda result: None,
    *,
    whole: bool = False,
) -> list[Result]:
    """Run the suite against each case, as many at a time as there are cores; results in the order
    of the cases.

    Args:
        whole: run all of the suite against each fault, also where it is found sooner.
    """
    spec = load_specification()
    named = order_of(spec.requirements)
    cells = {operation.requirement for operation in spec.operations.values()}

    def first(case: Case) -> frozenset[str]:
        """The fault's requirement, of a flip those of all cells, and all whose findings are named
        before; those of hardening are named after all others.
        """
        if whole or case.load or case.kind not in ("fault", "flip"):
            return frozenset()
        if not spec.requirements[case.planted].decides:
            return frozenset()
        last = max(map(named.index, cells if case.kind == "flip" else [case.planted]))
        return frozenset(named[: last + 1])

    return run_trials(
        [Trial(case, options_of(case), first=first(case)) for case in chosen], on_result
    )


def options_of(case: Case) -> tuple[str, ...]:
    """What the suite has to be told to see a case."""
    return (INTRUSIVE,) if case.intrusive else ()


def run_trials(
    trials: Iterable[Trial], on_result: Callable[[Result], None] = lambda result: None
) -> list[Result]:
    """Run the suite as often as there are trials, as many at a time as there are cores; results in
    their order.
    """
    trials = list(trials)
    cores = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(_environment())
        runs = stack.enter_context(closing(_Runs(_processes())))
        busy, waiting, loads = (
            stack.enter_context(ThreadPoolExecutor(size)) for size in (cores, 1, 1)
        )
        futures: list[Future[Result]] = []
        for number, trial in enumerate(trials):
            pool = (
                busy
                if len(trials) == 1
                else loads
                if trial.case.load
                else waiting
                if trial.waits
                else busy
            )
            futures.append(pool.submit(_run, runs, trial, folder / f"{number}-{trial.case.name}"))
            futures[-1].add_done_callback(
                lambda future: None if future.cancelled() else on_result(future.result())
            )
        try:
            return [future.result() for future in futures]
        except BaseException:  # Ctrl-C, mostly: what has not begun never will
            for pool in (busy, waiting, loads):
                pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def _environment() -> Iterator[None]:
    """The environment that all processes of the self-test are begun in; no later one of whoever
    called.
    """
    own = {
        SIGNING_KEY: os.environ.get(SIGNING_KEY, _OWN_KEY),
        # Python looks for modules in the working directory first, where a user's own may lie.
        "PYTHONSAFEPATH": "1",
    }
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _processes() -> Any:
    """How the cases' processes are made: forked from one that has imported everything, or begun
    anew (Windows).
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOAD)
    forkserver.ensure_running()
    return context


def _run(runs: _Runs, trial: Trial, place: Path) -> Result:
    """One trial; ``place`` is where its files go, without their endings."""
    started, case = time.monotonic(), trial.case
    if case.load:
        tries = [
            partial(_run_load, case, lasting, place)
            for lasting in (*((_SHORTLY,) if case.kind == "fault" else ()), _LOADED)
        ]
    else:
        tries = [
            partial(_run_suite, runs, attempt, place)
            for attempt in dict.fromkeys((trial, replace(trial, first=frozenset())))
        ]
    for run in tries:
        result = run()
        if trial.is_answered(result):
            break
    result.seconds = round(time.monotonic() - started, 2)
    return result


def _run_suite(runs: _Runs, trial: Trial, place: Path) -> Result:
    """Start the server, run the suite, stop the server."""
    case = trial.case
    server_says, server_end = runs.context.Pipe(duplex=False)
    server = runs.context.Process(target=_serve, args=(case, server_end))
    server.start()
    server_end.close()
    result = Result(case, mutation=trial.mutation)
    try:
        target = server_says.recv()
        file = place.with_name(f"{place.name}.toml")
        file.touch(mode=0o600)
        file.write_text(_lacking(target, trial.without) + trial.target, encoding="utf-8")
        _fill(result, runs.run(trial, file, place))
        server.terminate()
        if server_says.poll(_TIMEOUT):
            result.harm = server_says.recv()
    except (EOFError, RolecallError) as error:
        result.crash = str(error) or "the process ended without a word"
    finally:
        _end(server)
    return result


class _Runs:
    """Runs of the suite, each in a process of its own: forked from one that has collected it, where
    that can be.

    It cannot where nothing can be forked (Windows), and where what is collected is another suite:
    of a mutation, which is put in its place before, or a part that pytest selects.
    """

    def __init__(self, context: Any) -> None:
        self.context = context
        self._prepared: list[Prepared] = []
        self._free: list[Prepared] = []  # appending and popping are atomic

    def run(self, trial: Trial, target: Path, out: Path) -> Said:
        """What came of a run.

        Raises:
            RolecallError: nothing did in time.
            EOFError: the process is gone.
        """
        if (
            self.context.get_start_method() == "forkserver"
            and not trial.mutation
            and set(trial.options) <= {INTRUSIVE}
        ):
            return self._run_prepared(Order(target, out, INTRUSIVE in trial.options, trial.first))
        return self._run_alone(trial, target, out)

    def _run_prepared(self, order: Order) -> Said:
        try:
            prepared = self._free.pop()
        except IndexError:
            prepared = Prepared(self.context)
            self._prepared.append(prepared)
        came = prepared.run(order, _TIMEOUT)
        self._free.append(prepared)
        return came

    def _run_alone(self, trial: Trial, target: Path, out: Path) -> Said:
        says, its_end = self.context.Pipe(duplex=False)
        words = ["--target", str(target), "--out", str(out), *trial.options]
        process = self.context.Process(target=_certify, args=(words, trial.mutation, its_end))
        process.start()
        its_end.close()
        try:
            if not says.poll(_TIMEOUT):
                raise RolecallError(f"no result within {_TIMEOUT:g} s")
            came: Said = says.recv()
            return came
        finally:
            process.join(5)  # a process that has sent its result leaves by itself
            _end(process)

    def close(self) -> None:
        """End the processes that have collected the suite."""
        for prepared in self._prepared:
            prepared.close()


def _end(process: Any) -> None:
    """Let a process end, or end it."""
    process.terminate()
    process.join(5)
    if process.is_alive():
        process.kill()
        process.join()


def _lacking(target: str, table: str) -> str:
    """A target file's text without one of its tables."""
    return (
        re.sub(rf"^\[{re.escape(table)}\]\n(?:[^[\n].*\n|\n)*", "", target, flags=re.MULTILINE)
        if table
        else target
    )


def _run_load(case: Case, duration: str, place: Path) -> Result:
    """One case under load: ``rolecall load`` starts the server, and stops it."""
    result = Result(case)
    words = [*case.load, f"--duration={duration}", "--json", "--out", str(place)]
    words += [f"--serve-option={option}" for option in case.options]
    command = [sys.executable, "-P", "-m", "rolecall", "load", *words]
    try:
        finished = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_TIMEOUT
        )
        document = json.loads(finished.stdout)
        result.verdict, result.exit_code, result.requests = (
            document["verdict"],
            finished.returncode,
            document["requests"],
        )
        result.findings = list(
            dict.fromkeys(
                sample["requirement"] for sample in _by_cause(document["violation_samples"])
            )
        )
        result.advice = [kind["requirement"] for kind in document.get("advice", ())]
        result.reasons = document["reasons"]
    except ValueError:
        result.crash = finished.stderr.strip() or "the process ended without a word"
    except subprocess.TimeoutExpired:
        result.crash = f"no result within {_TIMEOUT:g} s"
    return result


def _by_cause(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Violations, with what another may only follow from first."""
    from rolecall.loadgen.checks.violations import KINDS

    return sorted(samples, key=lambda sample: list(KINDS).index(sample["kind"]))


def _fill(result: Result, said: Said) -> None:
    document = said.document
    if document is None:
        result.crash = said.crash
        return
    result.verdict, result.exit_code = document["verdict"], document["exit_code"]
    result.findings = [finding["requirement"] for finding in document["findings"]]
    result.advice = list(dict.fromkeys(finding["requirement"] for finding in document["advice"]))
    result.failed_cells = [finding["cell"] for finding in document["findings"] if finding["cell"]]
    result.undecided = [
        r["id"] for r in document["requirements"] if r["outcome"] in ("inconclusive", "error")
    ]
    result.reasons, result.requests = document["reasons"], document["requests"]
    result.lacking = said.lacking
    for entry in document["requirements"]:
        result.failed[entry["id"]] = [
            test["name"] for test in entry["tests"] if test["outcome"] == "failed"
        ]
        result.outcomes |= {
            entry["id"]: entry["outcome"],
            **{test["name"]: test["outcome"] for test in entry["tests"]},
        }
    result.findings = list(dict.fromkeys(result.findings))
    if document["exit_code"] == 6:
        result.crash = "; ".join(document["reasons"])


def _serve(case: Case, says: Connection) -> None:
    """In a process of its own: the reference server; says its target file when it is ready, and at
    the end what was done to it.

    A run with --intrusive may log in more often than its budget.
    """
    import argparse
    import gc

    from rolecall.reference.__main__ import add_arguments, settings_from
    from rolecall.reference.server import serve
    from rolecall.reference.target import target_file

    gc.disable()  # as in `run_once`
    # a fault may crash the server on purpose
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(["--port", "0", *CHEAP, *case.options])
    serve(
        settings_from(arguments),
        lambda running: says.send(target_file(running.server, running.base_url)),
        exit_with_parent=True,
        take_census=lambda census: says.send(
            census.damage() + ([] if case.intrusive else census.log_ins_beyond_budget())
        ),
    )


def _certify(words: list[str], mutation: str, says: Connection) -> None:
    """In a process of its own: one run of the suite, or of a mutation of it, which is put in its
    place before it is collected.
    """
    from rolecall.selftest import mutations
    from rolecall.selftest.prepared import run_once

    if mutation:
        mutations.catalogue()[mutation].apply()
    says.send(run_once(*words))


def tally(results: list[Result]) -> dict[str, int]:
    """The counts that the self-test answers for."""
    planted = [result for result in results if result.case.kind in ("fault", "flip")]
    innocent = [
        result for result in results if result.case.kind in ("baseline", "loaded", "legal", "lint")
    ]
    return {
        "faults": len(planted),
        "caught": sum(result.caught for result in planted),
        "localised": sum(result.localised for result in planted),
        "silent": sum(not result.caught for result in planted),
        "innocent": len(innocent),
        "false_alarms": sum(not result.as_expected for result in innocent),
        "troubled": sum(result.case.kind == "trouble" for result in results),
        "wrong_accusations": sum(
            result.case.kind == "trouble" and not result.as_expected for result in results
        ),
        "crashes": sum(bool(result.crash) for result in results),
        "harmed": sum(bool(result.harm) for result in results),
    }


def to_json(results: list[Result]) -> str:
    """The kill table for machines."""
    return json.dumps(
        {"counts": tally(results), "cases": [result.document() for result in results]}, indent=1
    )
