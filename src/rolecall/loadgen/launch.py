"""Starts Locust's processes for our commands, waits for them, and ends them."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rolecall.embedded import embedded_target
from rolecall.endings import ending_as_ctrl_c_does, first_noted
from rolecall.errors import ExitCode, UsageError
from rolecall.loadgen import compare, leading, plan, result, rows
from rolecall.loadgen.accounts import COLUMNS, LoadAccount
from rolecall.loadgen.checks.expired import Left
from rolecall.loadgen.clock import MovedClock, is_needed
from rolecall.loadgen.gates import BaselineGate, decided
from rolecall.loadgen.idle_options import see_that_all_have_an_effect
from rolecall.loadgen.options import OPTIONS
from rolecall.loadgen.provisioning import make_users, sessions_coexist
from rolecall.loadgen.scenarios import GuardedScenario
from rolecall.run_folder import new_run_id
from rolecall.spec.loading import load_specification
from rolecall.target import Target, load_target
from rolecall.wording import counted

#: Users that are made for a run on the embedded server.
_USERS = 40
#: Seconds that Locust has to write what it knows once it has been interrupted, and that its
#: processes have to leave.
_LAST_WORDS, _LEAVE = 20.0, 5.0
_WORKERS_WAIT = 60  # seconds for workers of our own to come
#: The environment variable with the embedded server's signing key.
_KEY = "ROLECALL_EMBEDDED_SIGNING_KEY"
#: Its own log repeats what we say; what it warns of is still printed. -P: a module of the user's in
#: the working directory is no part of Locust (load/import_path.py does the rest).
_LOCUST = (sys.executable, "-P", "-m", "rolecall.loadgen.locust_process", "--skip-log-setup")
_NOT_KNOWN = (
    "\nnote          whether a log-in ends the user's other sessions is not known: a refresh was "
    "neither granted nor refused."
    "\n              It is taken for one that does, so that only an account's newest session has "
    "to go on."
)
_MOVES = (
    "\nnote          the target's clock is moved past the end of tokens that are taken now, for "
    "the length of the run, for everybody"
    "\n              there; then it is put back. A signing_key_env or a bank under [expiry] does "
    "without that."
)


@dataclass
class LaunchedRun:
    """A run that is about to begin: its folder, and Locust's command line."""

    scenario: str
    folder: Path
    argv: list[str]
    resolved: plan.ResolvedTarget
    clock: Target | None = None  # the one whose clock is moved for the run
    workers: int = 0
    bind: str = ""
    port: int = 0
    note: str = ""

    def plan(self, arguments: argparse.Namespace) -> str:
        """What is about to be sent, in a line; a second line says what could not be found out."""
        options = plan.parse(self.argv)
        if getattr(arguments, "users", None):
            load = f"{counted(arguments.users, 'user')} for {arguments.duration}"
        elif getattr(arguments, "rate", None):
            schedule = plan.schedule(options)
            assert schedule is not None
            load = (
                f"{arguments.rate} arrivals/s ({schedule.arrivals}), {schedule.count():,} in "
                f"{schedule.duration:g} s"
            )
        else:
            load = "a search for the capacity"
        if thinking := plan.think(options):
            load += f", thinking for {thinking} between steps"
        count = len(self.resolved.accounts)
        held = plan.sessions_held(options, self.scenario, count, max(self.workers, 1))
        sessions = "" if held is None else f", sessions of {held} of them"
        who = (
            f"{counted(count, 'account')}{sessions}, "
            f"{self.workers or 1} process{'es' if self.workers > 1 else ''}"
        )
        return (
            f"plan          {self.scenario}: {load}; {who}; {self.resolved.name} at "
            f"{self.resolved.base_url}{self.note}"
        )

    def run(self, name: str) -> dict[str, Any]:
        """Run Locust to its end and return its document, or one that says that it left none."""
        exit_code, clock = (
            ExitCode.HARNESS_ERROR,
            MovedClock(self.clock, self.folder) if self.clock else None,
        )
        try:
            why = _why_nothing_is_left(self._launch_at(clock))
        except KeyboardInterrupt:
            exit_code, why = ExitCode.INTERRUPTED, "it was interrupted"
        path = self.folder / name
        if not path.is_file():
            result.write_nothing(plan.parse(self.argv), self.scenario, int(exit_code), why)
        if clock and clock.left_behind:
            result.leave_behind(self.folder, clock.left_behind)
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return document

    def compared(
        self,
        document: dict[str, Any],
        before: Mapping[str, Any],
        gates: Sequence[BaselineGate] = (),
    ) -> dict[str, Any]:
        """The document with its comparison with an earlier run, and what the gates make of it,
        written anew.
        """
        document = {**document, "comparison": compare.compare(before, document).document()}
        document = decided(document, gates)
        result.write_document(self.folder, document)
        return document

    def _launch_at(self, clock: MovedClock | None) -> int:
        """Run Locust, while the target's clock is ahead if it has to be."""
        if clock is None:
            return self._launch()
        with clock.ahead() as left, _expired_tokens(left) as file:
            return self._launch(f"--expired-tokens={file}")

    def _launch(self, *more: str) -> int:
        with as_file(files("rolecall.load")) as folder, contextlib.ExitStack() as stack:
            command = [
                *_LOCUST,
                "-f",
                str(folder / "locustfile.py"),
                "--headless",
                "--only-summary",
                *self.argv,
                *more,
            ]
            if not self.workers:
                return _wait(stack.enter_context(_process(command)))
            bind, port = self.bind or "127.0.0.1", self.port or _free_port()
            as_master = ["--master", "--master-bind-host", bind, "--master-bind-port", str(port)]
            as_master += ["--expect-workers", str(self.workers)]
            if not self.bind:
                as_master += ["--expect-workers-max-wait", str(_WORKERS_WAIT)]
            coordinator = stack.enter_context(_process([*command, *as_master]))
            for _ in range(0 if self.bind else self.workers):
                stack.enter_context(
                    _process(
                        [*command, "--worker", "--master-host", bind, "--master-port", str(port)]
                    )
                )
            return _wait(coordinator)


def _why_nothing_is_left(exit_code: int) -> str:
    """Why Locust left no document."""
    if exit_code == -signal.SIGKILL:
        return (
            "the generator was killed (SIGKILL), as the kernel does where memory is short; let "
            "fewer clients send, or use another machine"
        )
    return f"Locust ended at once (exit {exit_code}); see what it printed above"


@contextlib.contextmanager
def prepared(arguments: argparse.Namespace, argv: Sequence[str]) -> Iterator[LaunchedRun]:
    """All that a run needs before Locust starts; an embedded server runs as long as the block.

    Raises:
        UsageError: an option, the target file, the accounts or /proc are wrong, or load is not
            allowed.
        RolecallError: the embedded server cannot be started, or its users cannot be made.
    """
    leading.see_that_so_many_may_send(arguments.workers)
    leading.see_that_locust_finds_itself()
    run = Path(arguments.out) / new_run_id(time.time())
    files_argv = ["--run-folder", str(run), "--csv", str(run / "locust")]
    argv = [*argv, *_passed(arguments), *files_argv, f"--parent={os.getpid()}"]
    options = plan.parse(argv)
    plan.check(options)
    is_open = bool(options.rate or (options.capacity and not options.most_users))
    see_that_all_have_an_effect(arguments, options, is_open=is_open)
    target = _allowed_target(arguments.target) if arguments.target else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(ending_as_ctrl_c_does())
        stack.enter_context(result.folder_of_run(run, argv, arguments.scenario))
        where, target = (_target_argv(arguments), target) if target else _embedded(arguments, stack)
        coexist = sessions_coexist(target)
        argv += where if coexist else [*where, "--lone-sessions"]
        resolved = _resolved(arguments, plan.parse(argv))
        master = getattr(arguments, "master", False)
        workers = max(arguments.workers, 1) if master else arguments.workers
        bind = (arguments.bind_host or "127.0.0.1") if master else ""
        clock = target if arguments.scenario == GuardedScenario.name and is_needed(target) else None
        note = (_NOT_KNOWN if coexist is None else "") + (_MOVES if clock else "")
        objectives, spec = plan.objectives(plan.parse(argv)), resolved.spec
        note += rows.note(objectives, list(spec.operations), spec.roles)
        port = arguments.master_port if master else 0
        leading.see_that_it_can_listen(bind, port)
        note += leading.waits_for(workers, bind, port)
        yield LaunchedRun(arguments.scenario, run, argv, resolved, clock, workers, bind, port, note)


def _resolved(arguments: argparse.Namespace, options: argparse.Namespace) -> plan.ResolvedTarget:
    """The target and its accounts, which are enough for what is asked for.

    Raises:
        UsageError: something is wrong with them, or they are not.
    """
    resolved = plan.ResolvedTarget.of(options)
    count, workers = len(resolved.accounts), max(arguments.workers, 1)
    plan.see_that_sessions_suffice(options, arguments.scenario, count, workers)
    return resolved


def _passed(arguments: argparse.Namespace) -> Iterator[str]:
    """Our options that Locust's processes get as they are."""
    for option in OPTIONS:
        value = getattr(arguments, option.dest, None) if option.passed else None
        if value is not None:
            values = value if option.kind is list else [value]
            yield from (f"--{option.name}={text}" for text in values)
    yield f"--command={shlex.join(['rolecall', *sys.argv[1:]])}"
    if arguments.json or arguments.quiet:
        yield "--silent"


@contextlib.contextmanager
def _expired_tokens(left: Left) -> Iterator[Path]:
    """A file with expired tokens, as long as the block lasts."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "expired.json"
        left.write(file)
        yield file


def _allowed_target(file: Path) -> Target:
    target = load_target(file, load_specification().roles)
    plan.see_that_load_is_allowed(target, target.base_url)
    return target


def _target_argv(arguments: argparse.Namespace) -> list[str]:
    """The arguments that name the target and the accounts; both files stay where they are."""
    argv = [f"--target={arguments.target}"] if arguments.target else []
    return argv + ([f"--accounts={arguments.accounts}"] if arguments.accounts else [])


def _embedded(
    arguments: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[list[str], Target]:
    """The embedded server with users of its own, as long as the stack is open."""
    target = stack.enter_context(
        embedded_target(load_specification().roles, arguments.serve_option)
    )
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    accounts = arguments.accounts or _write_accounts(
        Path(folder) / "users.csv", make_users(target, _USERS)
    )
    file = _write_target(Path(folder) / "target.toml", target)
    stack.callback(os.environ.pop, _KEY, None)
    os.environ[_KEY] = target.expiry.signing_key
    argv = [
        f"--host={target.base_url}",
        f"--target-name={target.name}",
        f"--accounts={accounts}",
        f"--target={file}",
    ]
    return argv, target


def _write_target(path: Path, target: Target) -> Path:
    """A target file with what Locust's processes need; JSON's texts and numbers are TOML's, too."""
    tables = {
        "target": {"name": target.name, "base_url": target.base_url},
        "dialect": target.dialect,
    }
    tables |= {"expiry": {"signing_key_env": _KEY}} if target.expiry.signing_key else {}
    keys = target.api_keys.create_path
    tables |= {"api_keys": {"create_path": keys}} if keys else {}
    tables |= {
        f"accounts.{name}": {"email": account.email, "password": account.password}
        for name, account in target.accounts.items()
    }
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8") as file:
        for table, values in tables.items():
            file.write(
                f"[{table}]\n"
                + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
            )
    return path


def work(arguments: argparse.Namespace) -> int:
    """Work for a master on another machine until it is done.

    Raises:
        UsageError: --master-host, TARGET or /proc is missing; a worker never takes its target from
            a master.
    """
    if not arguments.master_host:
        raise UsageError("--master-host", "is missing")
    if not arguments.target:
        raise UsageError(
            "TARGET",
            "is missing: a worker takes host and accounts from its own target file",
            "Give TARGET, as on the master.",
        )
    leading.see_that_locust_finds_itself()
    _allowed_target(arguments.target)
    argv = [
        "--worker",
        "--master-host",
        arguments.master_host,
        "--master-port",
        str(arguments.master_port),
    ]
    argv += [*_target_argv(arguments), f"--parent={os.getpid()}"]
    with as_file(files("rolecall.load")) as folder:
        command = [*_LOCUST, "-f", str(folder / "locustfile.py"), *argv]
        with _process(command) as process:
            return _wait(process)


def _write_accounts(path: Path, accounts: Sequence[LoadAccount]) -> Path:
    path.touch(mode=0o600)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((account.email, account.password, account.role) for account in accounts)
    return path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@contextlib.contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """A process in a session of its own, which Ctrl-C of a terminal does not reach."""
    # LOCUST_HOST, above all
    ours = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    came: list[None] = []
    with first_noted(lambda: came.append(None)):  # else a signal just now would lose the process
        process = subprocess.Popen(
            command,
            env=ours,
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    try:
        if came:
            raise KeyboardInterrupt
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_LEAVE)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process.

    Raises:
        KeyboardInterrupt: Ctrl-C. The process has come to its end by then; a second one does not
            wait for that.
    """
    try:
        return process.wait()
    except KeyboardInterrupt:
        # not SIGINT: a process that is still importing would tell of it in a traceback
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_LAST_WORDS)
        raise
